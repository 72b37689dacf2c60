package bot

import (
	"testing"
	"time"

	"ipublish/deploy"
)

func TestEveryOperationOfAPlanIsSaidInWords(t *testing.T) {
	hosts := []deploy.HostID{"web-1", "web-2"}
	for want, s := range map[string]deploy.Step{
		"migrate of green: run ./migrate.sh on web-1, at most 5m0s":                               {Op: deploy.OpHook, Hook: "migrate", Slot: deploy.Green, On: deploy.OnFirstHost, Hosts: hosts[:1], Run: []string{"./migrate.sh", "--password=x"}, Hold: deploy.Duration(5 * time.Minute)},
		"on_live of green: run notify on the bot's machine, at most 10s":                          {Op: deploy.OpHook, Hook: "on_live", Slot: deploy.Green, On: deploy.OnBot, Run: []string{"notify"}, Hold: deploy.Duration(10 * time.Second)},
		"smoke_test of green: run ./smoke x on web-1, web-2, at most 1m0s":                        {Op: deploy.OpHook, Hook: "smoke_test", Slot: deploy.Green, On: deploy.OnHosts, Hosts: hosts, Run: []string{"./smoke\nx"}, Hold: deploy.Duration(time.Minute)},
		"wait until ./idle on web-1, web-2 says that blue has no background work, at most 1h0m0s": {Op: deploy.OpIdle, Hook: "idle", Slot: deploy.Blue, On: deploy.OnHosts, Hosts: hosts, Run: []string{"./idle"}, Hold: deploy.Duration(time.Hour)},
		"see that what runs on port 8080 of web-1, web-2 answers, and take it as live on blue":    {Op: deploy.OpAdopt, Slot: deploy.Blue, Port: 8080, Hosts: hosts},
	} {
		if got := stepText(s); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
