module github.com/merlon-security/merlon/test/cluster

go 1.26
