package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"ipublish/cmd/client"
	"ipublish/cmd/screen"
	"ipublish/deploy"
)

// Options say how to show the product; all fields but Dir and Once are needed.
type Options struct {
	Dir     string // absolute: the installation stays there; empty: a temporary folder
	Once    bool   // end after the show, without the prompt
	Stdin   io.Reader
	Out     io.Writer
	Program string // path of the ipublish program
	Typed   string // how a person runs it, for the texts
	Socket  func(state string) string
	// StopAll ends every app and the proxy of an installation whose server has
	// ended, and waits for them.
	StopAll func(ctx context.Context, config string) error
}

// Run shows the product and blocks until the show is over and, without Once,
// until the prompt is left or ctx ends. Then every process is ended. The error
// names each promise that did not hold; deploy.CodeRefused or CodeInvalid when
// it could not begin.
func Run(ctx context.Context, o Options) error {
	if _, err := exec.LookPath("go"); err != nil {
		return &deploy.Error{Code: deploy.CodeInvalid, Op: "demo", Message: "the sample app is built with go, and no go is on the PATH", Err: err}
	}
	dir, err := o.folder()
	if err != nil {
		return err
	}
	d := &demo{Options: o, screen: screen.New(o.Out)}
	err = d.installed(ctx, dir)
	if cerr := d.close(context.WithoutCancel(ctx)); cerr != nil {
		err = errors.Join(err, cerr)
	}
	d.farewell(dir, err)
	return err
}

// folder is where the installation goes.
func (o Options) folder() (string, error) {
	if o.Dir != "" {
		return filepath.Abs(o.Dir)
	}
	return os.MkdirTemp("", "ipublish-demo-")
}

// demo is what runs, in the order in which it was started.
type demo struct {
	Options
	screen *screen.Screen
	folder folder
	ready  bool // folder holds an installation
	repo   *repository
	git    *gitHost
	server *server
	users  *users
}

// installed makes the installation, starts what it needs, and shows it.
func (d *demo) installed(ctx context.Context, dir string) error {
	if err := d.install(ctx, dir); err != nil {
		return err
	}
	api := client.New("unix:"+d.Socket(d.folder.State()), "")
	s := &show{demo: d, api: api, began: time.Now()}
	if err := s.run(ctx); err != nil || d.Once {
		return err
	}
	p := &prompt{show: s, in: d.Stdin}
	return p.run(ctx)
}

func (d *demo) install(ctx context.Context, dir string) (err error) {
	if d.folder, err = newFolder(dir); err != nil {
		return err
	}
	d.ready = true
	d.screen.Print("ipublish demo: releases that nobody notices. All of it is real, and on this\nmachine only: the server, the git push, the app, its users.")
	if d.repo, err = newRepository(d.folder); err != nil {
		return err
	}
	if d.git, err = startGitHost(d.folder); err != nil {
		return err
	}
	if _, err = d.repo.commit(1, "The shop opens"); err != nil {
		return err
	}
	return d.repo.push(ctx)
}

// serve starts the server and waits until it answers.
func (d *demo) serve(ctx context.Context, api *client.Client) error {
	s, err := startServer([]string{d.Program, "serve", "--config", d.folder.Config()}, d.folder.log())
	if err != nil {
		return err
	}
	d.server = s
	return s.ready(ctx, api)
}

// close ends everything, the last started first: users, then who could start
// something, then what it started.
func (d *demo) close(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*endPatience)
	defer cancel()
	var errs []error
	if d.users != nil {
		d.users.close()
	}
	if d.server != nil {
		errs = append(errs, d.server.close(), d.StopAll(ctx, d.folder.Config()))
	}
	if d.git != nil {
		errs = append(errs, d.git.close(), d.repo.setOrigin(d.folder.bare()))
	}
	return errors.Join(errs...)
}

// farewell says what is left, and how to go on with it. A temporary folder is
// left only where its logs are needed.
func (d *demo) farewell(dir string, err error) {
	broken := err != nil && deploy.CodeOf(err) != deploy.CodeCancelled
	switch {
	case broken && d.ready:
		d.screen.Print(fmt.Sprintf("\nLogs are in %s: serve.log, state/proxy.log, releases/shop/production/*/log.", dir))
	case d.Dir == "":
		_ = os.RemoveAll(dir) // what cannot be removed is in nobody's way
		d.screen.Print("\nEverything was stopped and removed. `demo --dir DIR` keeps the installation.")
	case d.ready:
		d.screen.Print(d.goOn())
	}
}

// goOn explains what to do with the installation.
func (d *demo) goOn() string {
	config := quoted(d.folder.Config())
	return strings.Join([]string{
		"",
		screen.Heading("The installation stays in " + d.folder.Dir),
		"Its processes were stopped. It goes on, the shop with it, by:",
		"  " + d.Typed + " serve --config " + config,
		"Ask and command it from another shell:",
		"  " + d.Typed + " status --config " + config,
		"Release a change of yours:",
		"  cd " + quoted(d.folder.work()) + ", change version.go, git commit -a, git push",
		"  " + d.Typed + " deploy --config " + config,
		"Put your own app in: in ipublish.yaml set apps.shop.repository and slug to your",
		"git repository, build to how it is built, runtime.command.run to how it is",
		"started (it listens on $PORT), health.path to what tells that it is well; then",
		"  " + d.Typed + " check --config " + config,
	}, "\n")
}

// quoted is a path as a shell takes it.
func quoted(path string) string {
	if strings.ContainsFunc(path, func(r rune) bool { return strings.ContainsRune(" '\"\\$`&|;<>()*?[]#~", r) }) {
		return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
	}
	return path
}

// failure is the error of a show in which something did not hold.
func failure(missed []string) error {
	if len(missed) == 0 {
		return nil
	}
	return &deploy.Error{Code: deploy.CodeFailed, Op: "demo", Message: "this did not hold: " + strings.Join(missed, "; ")}
}

// interrupted says that the person at the terminal ended it.
func interrupted(ctx context.Context) error {
	return &deploy.Error{Code: deploy.CodeCancelled, Op: "demo", Message: "interrupted before the end of the show", Err: ctx.Err()}
}
