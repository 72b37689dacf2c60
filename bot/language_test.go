package bot

import (
	"strings"
	"testing"

	"ipublish/deploy"
)

// chinese is the configuration with a chat that is told in Chinese.
func chinese(chat string) func() Config {
	return func() Config {
		c := testConfig()
		c.Languages = map[string]string{chat: "zh"}
		return c
	}
}

func TestEveryChatIsToldInItsLanguage(t *testing.T) {
	inBubble(t, func(t *testing.T, f *telling) {
		f.stop()
		f.n.Config = func() Config {
			c := chinese("dingtalk")()
			c.Apps[0].Environments[0].Channels = []string{shopChannel, noteChannel}
			return c
		}
		f.start()
		d := submitted(t, f.m, shopProd, "k")
		f.atOnce(func() { d.planned().done(5).ended(deploy.Succeeded) })
		said := func(all []deploy.Message) string {
			last := all[len(all)-1]
			return last.Status + " " + strings.Join(last.Lines, " ")
		}
		contains(t, said(f.slack.told()), "succeeded took")
		contains(t, said(f.dingtalk.told()), "成功 用时")
		if f.slack.told()[0].Ref != "" || f.dingtalk.told()[0].Status != "成功" {
			t.Errorf("told %+v, %+v", f.slack.told(), f.dingtalk.told())
		}
	})
}

func TestAnAnswerIsInTheChatsLanguage(t *testing.T) {
	f := newFront(t)
	f.server.Config = chinese("slack")
	f.memory.plan = deploy.Plan{Target: shopProd, Steps: []deploy.Step{{Op: deploy.OpFetch, Release: deploy.Release{Commit: deploy.Commit{SHA: sha}}}}, Notes: []string{"the green slot still runs 4f2a91c: only traffic moves"}}
	running(t, f)
	_, body := f.send(t, "POST", "/slack/commands", chatSecret, commandBody(slackCommand("help")))
	contains(t, body, "让发布无感知")
	_, body = f.send(t, "POST", "/slack/commands", chatSecret, commandBody(slackCommand("deplyo main")))
	contains(t, body, "不是命令")
	_, body = f.send(t, "POST", "/slack/commands", chatSecret, commandBody(slackCommand("plan main")))
	contains(t, body, "制定计划")
	contains(t, <-f.slack.replies, "1. 拉取 4f2a91c", "提交点", "备注：绿槽位仍在运行 4f2a91c")
	f.slack.socket <- slackCommand("deploy main")
	<-f.slack.acks
	contains(t, <-f.slack.replies, "#1 已排队")
}

func TestTheCommandLineIsToldInEnglish(t *testing.T) {
	f := newFront(t)
	f.server.Config = chinese("slack")
	_, body := f.send(t, "POST", "/api/v1/commands", map[string]string{"Authorization": "Bearer " + token}, strings.NewReader(`{"text":"help"}`))
	contains(t, body, "releases without anybody noticing")
}

func TestWhatTheStateFolderRefusesIsToldInTheChatsLanguage(t *testing.T) {
	c := chinese("slack")()
	var l translations
	for err, want := range map[string]string{
		"ipublish is stopping: try again in a moment":                "ipublish 正在停止：请稍后重试",
		"open tomcat: ${DB}: the environment variable DB is not set": "${DB}：未设置环境变量 DB",
	} {
		contains(t, l.of(c, "slack").Text(err), want)
	}
	first, again := l.of(c, "slack"), l.of(c, "slack")
	if first != again || l.of(c, "dingtalk") != nil {
		t.Error("the catalogue is read again, or spoken where nobody asked for it")
	}
}
