package deploy

// Queue is one environment as a claim sees it: nothing is running there.
type Queue struct {
	Live    Live
	Waiting []State // unclaimed deploys in turn: urgent first, then by ID, housekeeping last
}

// Verdict is the answer of an Admit. The zero Verdict waits.
type Verdict struct {
	Take   ID       // claim this one
	Lookup ID       // ask this one's commit or tip first
	End    ID       // end this one without running it …
	Ending Ending   // … so,
	Err    *Error   // … for this reason,
	Queue  *Request // … and queue this in the same transaction (the tip instead of a stale push)
}

// Admit decides what happens to the next request of an idle environment. It is
// pure; the store applies its verdict in one transaction.
type Admit func(q Queue) Verdict
