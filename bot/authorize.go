package bot

import (
	"fmt"
	"slices"
	"strings"

	"ipublish/bot/hostile"
	"ipublish/deploy"
)

// Role is what an actor must be for a verb.
type Role string

// The roles of commands. An admin may do what a deployer may. The empty Role
// asks only that the actor is known: a member of a configured chat, or the
// bearer of a token.
const (
	RoleNone     Role = ""
	RoleDeployer Role = "deployer"
	RoleAdmin    Role = "admin"
)

// localPrefix marks an actor on the server's own unix socket, who may do everything.
const localPrefix = "cli:"

// Authorize decides whether the actor may use the verb ("deploy", "cancel", …,
// "force" for the flag); it is the only place where that is decided. nil means
// yes; otherwise deploy.CodeRefused with a message that says what would help.
// Nobody listed means nobody but the local command line.
func Authorize(cfg Config, by deploy.Actor, verb string) error {
	role, known := roleFor(verb)
	switch {
	case !known:
		return refused("nobody may %q: there is no such command", hostile.Line(verb, 40))
	case isLocal(by), pushes(by, verb), holds(cfg, by, role):
		return nil
	case role == RoleNone:
		return refused("%s is not on a chat of this ipublish", hostile.Line(by.ID, 80))
	}
	return refused("%s needs the role %s, which %s does not have: an admin can add %q to roles.%s in ipublish.yaml",
		verb, role, hostile.Line(by.String(), 60), hostile.Line(by.ID, 80), role)
}

// AuthorizeRequest is Authorize for what a request wants, with its --force. The
// engine asks it again at the claim, with the configuration of then.
func AuthorizeRequest(cfg Config, r deploy.Request) error {
	if r.By == deploy.SystemActor() && bySystem(r) {
		return nil
	}
	if err := Authorize(cfg, r.By, string(r.Want)); err != nil {
		return err
	}
	if r.Force == "" {
		return nil
	}
	return Authorize(cfg, r.By, string(VerbForce))
}

// bySystem reports whether ipublish asks for such a thing by itself: of locks
// it ends those whose time is over, never another nor a pause.
func bySystem(r deploy.Request) bool {
	return r.Want == deploy.WantRetire || r.Want == deploy.WantAlarm || r.Auto || r.Want == deploy.WantUnlock && r.Lock != 0
}

func roleFor(verb string) (Role, bool) {
	if Verb(verb) == VerbForce {
		return RoleAdmin, true
	}
	g, ok := grammarOf(Verb(verb))
	return g.role, ok
}

// holds reports whether the actor is listed for the role, or known for RoleNone.
func holds(cfg Config, by deploy.Actor, role Role) bool {
	listed := func(r Role) bool { return slices.Contains(cfg.Roles[string(r)], by.ID) }
	switch role {
	case RoleNone:
		return member(cfg, by)
	case RoleDeployer:
		return member(cfg, by) && (listed(RoleDeployer) || listed(RoleAdmin))
	}
	return member(cfg, by) && listed(role)
}

// member reports whether the actor came by a way that is configured.
func member(cfg Config, by deploy.Actor) bool {
	way, id, ok := strings.Cut(by.ID, ":")
	if !ok || id == "" {
		return false
	}
	if way == "token" {
		_, ok = cfg.Tokens[id]
		return ok
	}
	return slices.Contains(cfg.Chats, way)
}

func isLocal(by deploy.Actor) bool {
	return strings.HasPrefix(by.ID, localPrefix) && len(by.ID) > len(localPrefix)
}

// pushes reports whether a verified push asks for the one thing it may ask for.
// That the environment takes pushes was decided by its auto_deploy.
func pushes(by deploy.Actor, verb string) bool {
	return strings.HasPrefix(by.ID, pushPrefix) && Verb(verb) == VerbDeploy
}

func refused(format string, args ...any) error {
	return &deploy.Error{Code: deploy.CodeRefused, Op: "authorise", Message: fmt.Sprintf(format, args...)}
}
