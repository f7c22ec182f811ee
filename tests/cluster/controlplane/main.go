// Command controlplane is a Kubernetes control plane in one file: etcd, kube-apiserver,
// kube-controller-manager and kube-scheduler, each a command with its usual flags.
//
// Only etcd's flags are our own. Its server package is a library whose options are many, and a
// cluster that lives as long as a test run needs three of them.
package main

import (
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	_ "time/tzdata" // time zones of CronJobs, on machines without a zone database

	"github.com/spf13/cobra"
	"go.etcd.io/etcd/server/v3/embed"
	"k8s.io/component-base/cli"
	_ "k8s.io/component-base/metrics/prometheus/clientgo"
	_ "k8s.io/component-base/metrics/prometheus/version"
	apiserver "k8s.io/kubernetes/cmd/kube-apiserver/app"
	controllers "k8s.io/kubernetes/cmd/kube-controller-manager/app"
	scheduler "k8s.io/kubernetes/cmd/kube-scheduler/app"
)

// Making such a command claims the signals of the process, which only one may do: so only the one
// that is asked for is made.
var programs = map[string]func() *cobra.Command{
	"etcd":                    etcdCommand,
	"kube-apiserver":          func() *cobra.Command { return apiserver.NewAPIServerCommand() },
	"kube-controller-manager": controllers.NewControllerManagerCommand,
	"kube-scheduler":          func() *cobra.Command { return scheduler.NewSchedulerCommand() },
}

func main() {
	if len(os.Args) < 2 || programs[os.Args[1]] == nil {
		names := slices.Sorted(maps.Keys(programs))
		fmt.Fprintf(os.Stderr, "usage: controlplane %s [flags]\n", strings.Join(names, "|"))
		os.Exit(2)
	}
	root := &cobra.Command{Use: "controlplane", Short: "A Kubernetes control plane in one file"}
	root.AddCommand(programs[os.Args[1]]())
	os.Exit(cli.Run(root))
}

func etcdCommand() *cobra.Command {
	var dir, clients, peers string
	command := &cobra.Command{
		Use:           "etcd",
		Short:         "One member that forgets everything when the machine does",
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE:          func(*cobra.Command, []string) error { return runEtcd(dir, clients, peers) },
	}
	command.Flags().StringVar(&dir, "data-dir", "", "folder of the database")
	command.Flags().StringVar(&clients, "listen-client-urls", "", "where clients connect")
	command.Flags().StringVar(&peers, "listen-peer-urls", "", "where members would connect")
	return command
}

// runEtcd serves until it is told to stop or fails.
func runEtcd(dir, clients, peers string) error {
	config, err := etcdConfig(dir, clients, peers)
	if err != nil {
		return err
	}
	server, err := embed.StartEtcd(config)
	if err != nil {
		return err
	}
	defer server.Close()
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, syscall.SIGTERM, syscall.SIGINT)
	select {
	case <-stop:
		return nil
	case err := <-server.Err():
		return err
	}
}

func etcdConfig(dir, clients, peers string) (*embed.Config, error) {
	client, err := url.Parse(clients)
	if err != nil {
		return nil, fmt.Errorf("--listen-client-urls: %w", err)
	}
	peer, err := url.Parse(peers)
	if err != nil {
		return nil, fmt.Errorf("--listen-peer-urls: %w", err)
	}
	config := embed.NewConfig()
	config.Dir = dir
	config.ListenClientUrls, config.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	config.ListenPeerUrls, config.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*peer}
	config.InitialCluster = config.InitialClusterFromName(config.Name)
	config.LogLevel = "warn"
	// Writes reach the kernel, so a killed etcd loses nothing; only a lost machine would.
	config.UnsafeNoFsync = true
	return config, nil
}
