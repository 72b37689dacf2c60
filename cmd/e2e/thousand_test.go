package e2e

import (
	"fmt"
	"testing"

	"ipublish/deploy"
)

func TestAThousandRequestsASecondThroughNginxsOwnReloadLoseNoOneShotRequest(t *testing.T) {
	var front string
	r := newRig(t, func(r *rig) { front = r.byNginx(nil).URL })
	l, switches := r.manySwitches(front)
	l.mustBeSilent(t, oneShot)
	t.Logf("nginx's own reload cost %d keep-alive and %d slow requests in %d switches", len(l.failed(keepAlive)), len(l.failed(slow)), switches)
}

// manySwitches deploys one version after another at a thousand requests a second.
func (r *rig) manySwitches(front string) (l *load, switches int) {
	r.t.Helper()
	r.serve()
	r.api.ends(r.push(behaviour{Version: "v1"}), deploy.Succeeded)
	l = startLoad(r.t, front, everybody(1000))
	for switches = range 4 {
		version := fmt.Sprint("v", switches+2)
		r.api.ends(r.push(behaviour{Version: version}), deploy.Succeeded)
		mustServe(r.t, front, version)
	}
	return l, switches + 1
}
