package nginx

import (
	"slices"
	"strings"
	"testing"
)

// printed is what nginx -T says of files.
func printed(files ...string) []byte {
	var b strings.Builder
	b.WriteString("nginx: the configuration file /etc/nginx/nginx.conf syntax is ok\n")
	for i := 0; i < len(files); i += 2 {
		b.WriteString("# configuration file " + files[i] + ":\n" + files[i+1] + "\n")
	}
	return []byte(b.String())
}

func TestTheFilesThatNginxReadsAreToldApart(t *testing.T) {
	d := parseDump(printed("/etc/nginx/nginx.conf", "http {\n include x;\n}\n", "/etc/nginx/x", "upstream Shop { server a:1; }"))
	if len(d) != 2 || d[0].Path != "/etc/nginx/nginx.conf" || d[1].Path != "/etc/nginx/x" {
		t.Fatalf("%+v", d)
	}
	if got := d.own("/etc/nginx/x", nil); got != 1 {
		t.Errorf("the file is number %d, not 1", got)
	}
	if got := d.own("/linked/x", []byte("upstream Shop { server a:1; }\n")); got != 1 {
		t.Errorf("a file behind a linked folder is number %d, not 1", got)
	}
	if got := d.own("/other", nil); got != -1 {
		t.Errorf("a file that nginx does not read is number %d", got)
	}
}

func TestALineThatLooksLikeTheHeadOfAFileBelongsToItsFile(t *testing.T) {
	main := "http {\n# configuration file /etc/elsewhere:\n include conf.d/*.conf;\n\n# configuration file /etc/nginx/nginx.conf:\n}\n"
	d := parseDump(printed("/etc/nginx/nginx.conf", main, "/etc/nginx/conf.d/a.conf", "a;\n# configuration file /etc/nginx/conf.d/a.conf:\nb;\n"))
	if len(d) != 2 || strings.TrimRight(d[0].Text, "\n") != strings.TrimRight(main, "\n") {
		t.Fatalf("%+v", d)
	}
	if b := d[1].All; len(b) != 2 || b[1].Line != 3 {
		t.Errorf("%+v", b)
	}
}

func TestAnIncludeReadsWhatItsPatternNames(t *testing.T) {
	d := dump{{Path: "/etc/nginx/nginx.conf"}}
	for pattern, reads := range map[string]bool{
		"conf.d/*.conf": true, "/etc/nginx/conf.d/*.conf": true, "./conf.d/shop.conf": true, "/etc/nginx//conf.d/s?op.conf": true,
		"conf.d/[r-t]hop.conf": true, "conf.d/[!r-t]hop.conf": false, "conf.d/*": true, "*.conf": false, "/conf.d/shop.conf": false,
		"conf.d/[": false, "conf.d/Shop.conf": false, "*/shop.conf": true, "": false,
	} {
		if got := d.included(pattern, "/etc/nginx/conf.d/shop.conf"); got != reads {
			t.Errorf("%q reads it: %v", pattern, got)
		}
	}
	if d.included("conf.d/*", "/etc/nginx/conf.d/.shop.old") {
		t.Error("a pattern reads a name that begins with a dot")
	}
}

func TestAStatementKnowsTheBlockThatAnotherFileIsIncludedIn(t *testing.T) {
	d := parseDump(printed(
		"/n/nginx.conf", "stream { include s/*; }\nhttp { upstream u { include servers; } include c/*; }\n",
		"/n/s/x", "upstream shop { server a:1; }\n",
		"/n/servers", "server a:2;\n",
		"/n/c/x", "server { location / { include snippet; } location /b { include snippet; } }\n",
		"/n/snippet", "proxy_pass http://u;\ninclude c/*;\n",
	))
	var got []string
	for _, s := range d.statements() {
		place := ""
		for o := s.Outer; o != nil; o = o.Outer {
			place = o.name() + " " + place
		}
		if !s.HTTP {
			place = "! " + place
		}
		if s.name() != "include" {
			got = append(got, place+strings.Join(s.Words, " "))
		}
	}
	want := []string{
		"! stream", "! stream upstream shop", "! stream upstream server a:1",
		"! http", "http upstream u", "http upstream server a:2",
		"http server", "http server location /", "http server location proxy_pass http://u", "http server location /b",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestLongLinesAndDeepBlocksAreSurveyedInTime(t *testing.T) {
	s := settings{Upstream: "a", Include: "/x"}
	s.fillIn()
	for _, text := range []string{
		strings.Repeat("x", 1<<20), strings.Repeat("{", 1<<20), strings.Repeat("}", 1<<20), strings.Repeat("a{", 1<<19), "http{" + strings.Repeat("a_pass b;", 1<<14),
		strings.Repeat("# configuration file /x:\n", 1<<15), "a_by_lua_block{" + strings.Repeat("[=", 1<<19), "'" + strings.Repeat("\\", 1<<20),
		"http{" + strings.Repeat("upstream u{server 127.0.0.1:1;}", 1<<10) + strings.Repeat("a_pass u;", 1<<10),
		"http{map a $b{" + strings.Repeat("x 127.0.0.1:2;", 1<<10) + "}" + strings.Repeat("a_pass $b$b;", 1<<6),
	} {
		newSurvey(s, parseDump([]byte("# configuration file /n:\n"+text)), file{}).obstacles([]string{"127.0.0.1:1"}, places{})
	}
}

func FuzzAnyDumpIsSurveyed(f *testing.F) {
	f.Add("http {\n include x;\n}\n# configuration file /x:\nupstream a { include x; server 127.0.0.1:1; }\nproxy_pass http://a;")
	f.Add("http{upstream a{server \x00\x1b[31m127.0.0.1:1;}server{location / {proxy_pass http://$a`b;set $a 127.0.0.1:1")
	f.Add("http{a_pass unix:/x;}}}}{{{{http{_pass")
	s := settings{Upstream: "a", Include: "/x"}
	s.fillIn()
	f.Fuzz(func(t *testing.T, text string) {
		d := parseDump([]byte("# configuration file /n:\n" + text))
		v := newSurvey(s, d, file{})
		v.addrs()
		for _, o := range v.obstacles([]string{"127.0.0.1:1"}, places{}) {
			if said := o.advice("shop"); strings.ContainsFunc(said, func(r rune) bool { return r < ' ' || r == 0x7f }) || len(said) > 8*textWidth*4 {
				t.Errorf("%q", said)
			}
		}
	})
}
