package screen

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"golang.org/x/term"
)

// plainWidth is where lines are cut that go to a pipe: nowhere.
const plainWidth = 0

// Screen is where text goes. It may be used by several goroutines at once.
type Screen struct {
	out    io.Writer
	tty    *os.File // nil: a pipe
	colour bool

	mu    sync.Mutex
	drawn int // lines that the next Draw replaces
}

// New returns a screen on out, which moves and has colours if out is a terminal.
func New(out io.Writer) *Screen {
	s := &Screen{out: out}
	f, ok := out.(*os.File)
	if ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		s.tty = f
		s.colour = os.Getenv("NO_COLOR") == ""
	}
	return s
}

// Moves reports whether Draw shows anything.
func (s *Screen) Moves() bool { return s.tty != nil }

// Print writes lines that stay, in the place of what was drawn.
func (s *Screen) Print(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.fit(text)
	s.write(s.erasure() + strings.Join(lines, "\n") + "\n")
	s.drawn = 0
}

// Draw shows lines that the next Draw or Print replaces; as many as the
// terminal is high. In a pipe it does nothing.
func (s *Screen) Draw(text string) {
	if !s.Moves() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	lines := s.fit(text)
	if _, height := s.size(); len(lines) > height-1 {
		lines = lines[:height-1]
	}
	s.write(s.erasure() + strings.Join(lines, "\n") + "\n")
	s.drawn = len(lines)
}

// Ask writes a prompt and leaves the cursor behind it.
func (s *Screen) Ask(prompt string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.write(s.erasure() + prompt)
	s.drawn = 0
}

// write goes to one place only; when that is gone, the program is told by a signal.
func (s *Screen) write(text string) { _, _ = io.WriteString(s.out, text) }

// erasure moves to the first line that was drawn and clears from there.
func (s *Screen) erasure() string {
	if s.drawn == 0 {
		return ""
	}
	return fmt.Sprintf("\x1b[%dA\r\x1b[J", s.drawn)
}

func (s *Screen) size() (width, height int) {
	if s.tty == nil {
		return plainWidth, 0
	}
	width, height, err := term.GetSize(int(s.tty.Fd()))
	if err != nil || width < 20 || height < 4 {
		return 80, 24
	}
	return width, height
}

// fit gives the lines as they are drawn: none wider than the terminal.
func (s *Screen) fit(text string) []string {
	width, _ := s.size()
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if width != plainWidth {
		var cut []string
		for _, l := range lines {
			cut = append(cut, Wrap(l, width-1)...)
		}
		lines = cut
	}
	if s.colour {
		for i := range lines {
			lines[i] = paint(lines[i])
		}
	}
	return lines
}
