package bottest

import (
	"path"
	"strconv"
	"strings"
	"time"
)

// object is a JSON object.
type object = map[string]any

func gitHubBody(p Push) []byte {
	p = p.filled()
	return mustJSON(object{
		"ref": p.Ref, "before": p.Before, "after": p.After, "base_ref": nil,
		"created": isZeros(p.Before), "deleted": p.Deleted(), "forced": false,
		"compare":     "https://github.example.com/" + p.Repo + "/compare/x...y",
		"commits":     p.commits(),
		"head_commit": p.head(),
		"pusher":      object{"name": p.Pusher, "email": "ada@example.com"},
		"repository": object{"id": 17, "name": path.Base(p.Repo), "full_name": p.Repo, "private": true,
			"clone_url": "https://github.example.com/" + p.Repo + ".git", "ssh_url": "git@github.example.com:" + p.Repo + ".git",
			"default_branch": "main"},
		"sender": object{"login": p.Pusher, "id": 4711},
	})
}

func giteaBody(p Push) []byte {
	p = p.filled()
	return mustJSON(object{
		"ref": p.Ref, "before": p.Before, "after": p.After,
		"compare_url": "https://gitea.example.com/" + p.Repo + "/compare/x...y",
		"commits":     p.commits(), "total_commits": len(p.commits()),
		"head_commit": p.head(),
		"repository": object{"id": 17, "name": path.Base(p.Repo), "full_name": p.Repo,
			"clone_url": "https://gitea.example.com/" + p.Repo + ".git", "ssh_url": "git@gitea.example.com:" + p.Repo + ".git"},
		"pusher": object{"id": 3, "login": p.Pusher, "full_name": p.Author, "username": p.Pusher},
		"sender": object{"id": 3, "login": p.Pusher, "username": p.Pusher},
	})
}

func gitLabBody(p Push) []byte {
	p = p.filled()
	kind := "push"
	if strings.HasPrefix(p.Ref, "refs/tags/") {
		kind = "tag_push"
	}
	body := object{
		"object_kind": kind, "event_name": kind, "ref": p.Ref, "ref_protected": true,
		"before": p.Before, "after": p.After, "checkout_sha": p.Commit, "message": nil,
		"user_id": 4, "user_name": p.Author, "user_username": p.Pusher, "user_email": "",
		"project_id": 15,
		"project": object{"id": 15, "name": path.Base(p.Repo), "path_with_namespace": p.Repo,
			"git_ssh_url": "git@gitlab.example.com:" + p.Repo + ".git", "git_http_url": "https://gitlab.example.com/" + p.Repo + ".git",
			"default_branch": "main"},
		"commits": p.commits(), "total_commits_count": len(p.commits()),
	}
	if p.Deleted() {
		body["checkout_sha"] = nil
	}
	return mustJSON(body)
}

// giteeBody repeats a password and a signature, as Gitee does.
func giteeBody(p Push) []byte {
	p = p.filled()
	return mustJSON(object{
		"hook_name": "push_hooks", "hook_id": 1, "hook_url": "https://gitee.example.com/" + p.Repo + "/hooks/1/edit",
		"password": "body-password", "timestamp": strconv.FormatInt(p.At.UnixMilli(), 10), "sign": "body-signature",
		"ref": p.Ref, "before": p.Before, "after": p.After,
		"created": isZeros(p.Before), "deleted": p.Deleted(),
		"compare": "https://gitee.example.com/" + p.Repo + "/compare/x...y",
		"commits": p.commits(), "head_commit": p.head(), "total_commits_count": len(p.commits()), "commits_more_than_ten": false,
		"repository": object{"id": 120249025, "name": path.Base(p.Repo), "full_name": p.Repo, "path_with_namespace": p.Repo,
			"git_http_url": "https://gitee.example.com/" + p.Repo + ".git"},
		"user_name": p.Author, "pusher": object{"id": 78320, "name": p.Author, "username": p.Pusher},
	})
}

// commits lists an older commit and the head commit, as the hosts do: oldest first.
func (p Push) commits() []object {
	if p.Deleted() {
		return []object{}
	}
	old := p.commit(Hash("older "+p.Commit), "An older commit")
	return []object{old, p.commit(p.Commit, p.Message)}
}

func (p Push) head() any {
	if p.Deleted() {
		return nil
	}
	return p.commit(p.Commit, p.Message)
}

func (p Push) commit(id, message string) object {
	title, _, _ := strings.Cut(message, "\n")
	return object{
		"id": id, "distinct": true, "message": message, "title": title,
		"timestamp": p.At.UTC().Format(time.RFC3339),
		"author":    object{"name": p.Author, "email": "ada@example.com", "username": p.Pusher},
		"added":     []string{"basket/total.go"}, "removed": []string{}, "modified": []string{"basket/basket.go"},
	}
}

func isZeros(hash string) bool { return strings.Trim(hash, "0") == "" }
