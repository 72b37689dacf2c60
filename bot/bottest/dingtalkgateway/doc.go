// Package dingtalkgateway is DingTalk's Stream mode, for tests only: a server on
// loopback that a bot dials, which brings it what people say and takes its
// acknowledgements and answers.
//
// The one idea: one address for everything a bot in Stream mode needs. New puts
// the stream in front of a bottest.DingTalk, which goes on answering access
// tokens, group messages, custom robots and session webhooks; what a bot sends
// there is in Sent. Point api_url at the URL and it is all of DingTalk.
//
//	g := dingtalkgateway.New(t, bottest.NewDingTalk(t))
//	// start a bot with transport: stream, api_url: g.URL, client_id: g.ClientID …
//	g.WaitConnections(ctx, 1)
//	id, ok := g.Say("manager4220", conversation, "status")
//	ack, err := g.WaitAck(ctx, id)
//	answer, err := g.WaitSent(ctx, func(m bottest.DingTalkMessage) bool { … })
//
// It follows what DingTalk documents: a ticket works once, for 90 seconds of the
// organisation's Clock; a message goes to one of the open connections and never a
// second time; what is said while there is none is lost; a connection that was
// told to disconnect gets nothing more and is closed ten seconds later. How a
// refusal is worded is not documented: authFailed is what bots report, the rest
// is made up.
//
// It never guesses in the bot's favour: each acknowledgement that is malformed,
// not asked for, or given twice, and each ping that is not echoed word for word,
// fails the test.
package dingtalkgateway
