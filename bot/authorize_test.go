package bot

import (
	"slices"
	"strings"
	"testing"

	"ipublish/deploy"
)

// Who may do what. A new verb without a row fails the test.
func TestRightsAreAsTheMatrixSays(t *testing.T) {
	actors := []string{
		"slack:UADMIN", "slack:UDEPLOY", "slack:UAPPROVE", "slack:UNOBODY", "dingtalk:someone", "token:ci", "token:viewer",
		"slack:uadmin", "cli:root", "push:github",
		"ipublish", "cli:", "slack:", "discord:UADMIN", "token:gone", "UADMIN", "", "SLACK:UADMIN",
	}
	const admin, deployer, ask = "1000000010", "1100010010", "1111111110"
	rows := map[Verb]string{
		VerbDeploy: "1100010011", VerbRollback: deployer, VerbCancel: deployer, VerbPause: deployer, VerbResume: deployer,
		VerbStart: deployer, VerbStop: deployer, VerbRestart: deployer, VerbOffline: deployer, VerbOnline: deployer, VerbDrill: deployer,
		VerbLock: deployer, VerbUnlock: deployer,
		VerbAbandon: admin, VerbAccept: admin, VerbAdopt: admin, VerbForce: admin,
		VerbLocks: ask, VerbStatus: ask, VerbHistory: ask, VerbPlan: ask, VerbWhoami: ask, VerbHelp: ask,
		"reboot": "0000000000", "": "0000000000",
	}
	for _, v := range append(Verbs(), VerbForce) {
		if _, ok := rows[v]; !ok {
			t.Errorf("the matrix has no row for %s", v)
		}
	}
	for verb, row := range rows {
		row += strings.Repeat("0", len(actors)-len(row))
		for i, id := range actors {
			err := Authorize(testConfig(), deploy.Actor{ID: id, Name: "slack:UADMIN"}, string(verb))
			if want := row[i] == '1'; (err == nil) != want {
				t.Errorf("%q may %q: got %v, want %v", id, verb, err, want)
			}
			if err != nil && deploy.CodeOf(err) != deploy.CodeRefused {
				t.Errorf("%q for %q is refused with the code %q", id, verb, deploy.CodeOf(err))
			}
		}
	}
}

func TestNobodyListedMeansNobodyButTheLocalCommandLine(t *testing.T) {
	cfg := Config{Chats: []string{"slack"}}
	for _, v := range []Verb{VerbDeploy, VerbRollback, VerbCancel, VerbPause, VerbResume, VerbAbandon, VerbStart, VerbStop, VerbRestart, VerbOffline, VerbOnline, VerbDrill,
		VerbLock, VerbUnlock, VerbAccept, VerbAdopt, VerbForce} {
		if err := Authorize(cfg, deploy.Actor{ID: "slack:U1"}, string(v)); err == nil {
			t.Errorf("anybody may %s", v)
		}
		if err := Authorize(cfg, deploy.Actor{ID: "cli:root"}, string(v)); err != nil {
			t.Errorf("the local command line may not %s: %v", v, err)
		}
	}
}

func TestARefusalSaysWhatWouldHelp(t *testing.T) {
	err := Authorize(testConfig(), deploy.Actor{ID: "slack:UNOBODY", Name: "Eve\x1b[31m"}, "deploy")
	text := deploy.MessageOf(err)
	for _, want := range []string{"deployer", "slack:UNOBODY", "ipublish.yaml"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q does not tell %q", text, want)
		}
	}
	if hasControl(text) {
		t.Errorf("%q holds control characters", text)
	}
}

func TestTheRightIsCheckedAgainForWhatTheRequestWants(t *testing.T) {
	request := func(id string, want deploy.Want, force string) deploy.Request {
		return deploy.Request{By: deploy.Actor{ID: id}, Want: want, Force: force}
	}
	auto := request("ipublish", deploy.WantDeploy, "")
	auto.By, auto.Auto = deploy.SystemActor(), true
	retire := request("", deploy.WantRetire, "")
	retire.By = deploy.SystemActor()
	expiry := request("", deploy.WantUnlock, "")
	expiry.By, expiry.Lock = deploy.SystemActor(), 7
	unlock := expiry
	unlock.Lock = 0
	lock := request("", deploy.WantLock, "")
	lock.By = deploy.SystemActor()
	yes := []deploy.Request{
		request("slack:UDEPLOY", deploy.WantDeploy, ""), request("slack:UADMIN", deploy.WantDeploy, "why"), request("slack:UADMIN", deploy.WantAccept, ""),
		request("push:github", deploy.WantDeploy, ""), request("slack:UDEPLOY", deploy.WantRollback, ""), auto, retire,
		request("slack:UDEPLOY", deploy.WantLock, ""), request("slack:UDEPLOY", deploy.WantUnlock, ""), request("slack:UADMIN", deploy.WantAdopt, ""), expiry,
		request("slack:UDEPLOY", deploy.WantOffline, ""), request("slack:UDEPLOY", deploy.WantDrill, ""), request("slack:UADMIN", deploy.WantRestart, "why"),
	}
	no := []deploy.Request{
		request("slack:UDEPLOY", deploy.WantDeploy, "why"), request("slack:UDEPLOY", deploy.WantAccept, ""), request("slack:UNOBODY", deploy.WantDeploy, ""),
		request("push:github", deploy.WantRollback, ""), request("push:github", deploy.WantDeploy, "why"), request("slack:UADMIN", deploy.WantRetire, ""),
		request("slack:UNOBODY", deploy.WantLock, ""), request("slack:UNOBODY", deploy.WantUnlock, ""), request("slack:UDEPLOY", deploy.WantAdopt, ""),
		request("push:github", deploy.WantLock, ""), request("push:github", deploy.WantUnlock, ""), unlock, lock,
		request("slack:UNOBODY", deploy.WantOffline, ""), request("push:github", deploy.WantRestart, ""), request("slack:UDEPLOY", deploy.WantRestart, "why"),
	}
	for _, r := range yes {
		if err := AuthorizeRequest(testConfig(), r); err != nil {
			t.Errorf("%+v: %v", r, err)
		}
	}
	for _, r := range no {
		if AuthorizeRequest(testConfig(), r) == nil {
			t.Errorf("%+v is allowed", r)
		}
	}
}

// The handler asks for the right of every verb before it does anything.
func TestEveryVerbIsAuthorisedBeforeItActs(t *testing.T) {
	commands := map[Verb]string{
		VerbDeploy: "deploy api", VerbRollback: "rollback api", VerbStatus: "status", VerbHistory: "history", VerbPlan: "plan api",
		VerbCancel: "cancel #1", VerbResume: "resume #1", VerbAbandon: `abandon #1 "why"`, VerbAccept: "accept api",
		VerbLock: `lock api "why" for 2h`, VerbUnlock: "unlock shop/staging", VerbLocks: "locks", VerbAdopt: "adopt api",
		VerbPause: "pause #3", VerbStart: "start lift-1", VerbStop: "stop lift-1", VerbRestart: "restart lift-1", VerbOffline: "offline lift-1",
		VerbOnline: "online lift-1", VerbDrill: "drill mall",
		VerbWhoami: "whoami", VerbHelp: "help", VerbForce: `deploy api --force "why"`,
	}
	actors := []string{"slack:UADMIN", "slack:UDEPLOY", "slack:UNOBODY", "discord:U1", "cli:root"}
	for _, v := range append(Verbs(), VerbForce) {
		command, ok := commands[v]
		if !ok {
			t.Errorf("no command for %s", v)
		}
		for _, id := range actors {
			m := newMemory()
			submitted(t, m, shopProd, "k").planned().stuck()
			locked(t, m, shopStag)
			submitted(t, m, apiProd, "k3").planned()
			before := len(m.events)
			h := newHandler(m)
			h.Config = func() Config {
				c := testConfig()
				c.Apps = append(c.Apps, fleetConfig().Apps[1])
				return c
			}
			a := h.Handle(t.Context(), deploy.Command{Chat: "slack", User: deploy.Actor{ID: id}, Text: command, Key: "key"})
			allowed := Authorize(testConfig(), deploy.Actor{ID: id}, string(v)) == nil
			if refusedNow := a.Code == deploy.CodeRefused; refusedNow == allowed {
				t.Errorf("%s by %s: %q (%s)", command, id, a.Text, a.Code)
			}
			if !allowed && len(m.events) != before {
				t.Errorf("%s by %s was refused and left a trace", command, id)
			}
			changes := []Verb{VerbDeploy, VerbRollback, VerbCancel, VerbPause, VerbResume, VerbAbandon, VerbStart, VerbStop, VerbRestart, VerbOffline, VerbOnline, VerbDrill, VerbLock, VerbUnlock, VerbAccept, VerbAdopt, VerbForce}
			if allowed && slices.Contains(changes, v) != (len(m.events) > before) {
				t.Errorf("%s by %s: %d events more, %q", command, id, len(m.events)-before, a.Text)
			}
		}
	}
}
