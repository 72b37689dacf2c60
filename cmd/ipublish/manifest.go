package main

import (
	"embed"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"text/template"
	"unicode/utf8"

	"ipublish/deploy"
)

// setup holds the texts that a chat is set up with.
//
//go:embed setup
var setup embed.FS

var setupTexts = template.Must(template.New("setup").Funcs(template.FuncMap{"quote": quoteYAML}).ParseFS(setup, "setup/*.tmpl"))

// slackCommand is everything about setting up Slack.
type slackCommand struct {
	Manifest slackManifestCommand `cmd:"" help:"Print the manifest that makes the Slack app, the link that takes it, and the steps that remain."`
}

type slackManifestCommand struct {
	HTTP    string `name:"http" placeholder:"URL" help:"Take commands by HTTP at this public https address instead of by Socket Mode."`
	Name    string `default:"ipublish" help:"The app's name."`
	Command string `default:"/ipub" help:"The slash command."`
	Link    bool   `help:"Print the link alone."`
}

// slackApp is what the manifest and its steps are made of.
type slackApp struct {
	Name, Command string
	URL           string // public address; empty: Socket Mode
	Link          string
}

// CommandURL is where Slack sends slash commands.
func (a slackApp) CommandURL() string { return a.URL + "/slack/commands" }

// Run prints the manifest on standard output, so that it can be redirected, and
// what to do with it on standard error.
func (c *slackManifestCommand) Run(m *Main) error {
	app, err := c.app()
	if err != nil {
		return err
	}
	manifest, err := app.text("slack-manifest.yaml.tmpl")
	if err != nil {
		return err
	}
	app.Link = manifestLink(manifest)
	if c.Link {
		_, err := fmt.Fprintln(m.Stdout, app.Link)
		return err
	}
	steps, err := app.text(app.steps())
	if err != nil {
		return err
	}
	if _, err := fmt.Fprint(m.Stdout, manifest); err != nil {
		return err
	}
	_, err = fmt.Fprint(m.Stderr, steps)
	return err
}

func (a slackApp) steps() string {
	if a.URL == "" {
		return "slack-socket.txt.tmpl"
	}
	return "slack-http.txt.tmpl"
}

func (a slackApp) text(name string) (string, error) {
	var b strings.Builder
	if err := setupTexts.ExecuteTemplate(&b, name, a); err != nil {
		return "", &deploy.Error{Code: deploy.CodeInternal, Op: "write", Subject: name, Err: err}
	}
	return b.String(), nil
}

// What Slack takes as a command: 32 characters with the slash, lower case.
const longestSlackCommand = 32

var slackCommandForm = regexp.MustCompile(`^/[a-z0-9_-]+$`)

// mostAppName is the longest name of a Slack app, in characters.
const mostAppName = 35

func (c *slackManifestCommand) app() (slackApp, error) {
	name := strings.TrimSpace(c.Name)
	switch {
	case name == "" || utf8.RuneCountInString(name) > mostAppName || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' }):
		return slackApp{}, setupError("--name is a line of at most 35 characters, as Slack takes it")
	case len(c.Command) > longestSlackCommand || !slackCommandForm.MatchString(c.Command):
		return slackApp{}, setupError("--command is a slash and at most 31 small letters, digits, dashes and underscores, such as /ipub")
	case c.HTTP == "":
		return slackApp{Name: name, Command: c.Command}, nil
	}
	u, err := url.Parse(c.HTTP)
	if err != nil || u.Scheme != "https" || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return slackApp{}, setupError("--http is the public address of ipublish, which Slack reaches by https only, such as https://ipublish.example.com")
	}
	return slackApp{Name: name, Command: c.Command, URL: strings.TrimRight(u.String(), "/")}, nil
}

// manifestLink creates the app in one click. Spaces are %20: what reads the
// link need not take a plus for one.
func manifestLink(manifest string) string {
	return "https://api.slack.com/apps?new_app=1&manifest_yaml=" + strings.ReplaceAll(url.QueryEscape(manifest), "+", "%20")
}

// quoteYAML writes a text as YAML takes it whatever it holds: as JSON does.
func quoteYAML(s string) (string, error) {
	b, err := json.Marshal(s)
	return string(b), err
}

// dingtalkCommand is everything about setting up DingTalk.
type dingtalkCommand struct {
	Guide dingtalkGuideCommand `cmd:"" help:"Print how to set up a DingTalk robot, step by step."`
}

type dingtalkGuideCommand struct {
	Lang string `default:"zh" enum:"zh,en" help:"zh or en."`
}

// Run prints the guide as Markdown.
func (c *dingtalkGuideCommand) Run(m *Main) error {
	text, err := setup.ReadFile("setup/dingtalk." + c.Lang + ".md")
	if err != nil {
		return &deploy.Error{Code: deploy.CodeInternal, Op: "read", Subject: "guide", Err: err}
	}
	_, err = m.Stdout.Write(text)
	return err
}

func setupError(message string) error {
	return &deploy.Error{Code: deploy.CodeInvalid, Op: "set up", Message: message}
}
