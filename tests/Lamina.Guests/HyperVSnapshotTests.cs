using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Lamina.Guests.Processes;

namespace Lamina.Guests;

/// <summary>A Debian guest under Hyper-V's personality that writes and checks its disk without end is saved, and goes on from there with its disk, its card, its balloon, its services and its files.</summary>
public sealed class HyperVSnapshotTests
{
    [Fact]
    public async Task A_busy_guest_of_HyperV_goes_on_with_its_disk_its_card_and_its_files()
    {
        Assert.SkipUnless((Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(d => File.Exists(Path.Combine(d, "passt"))), "'passt' is not installed (package passt).");
        byte[] content = RandomNumberGenerator.GetBytes(1 << 20);
        string digest = Convert.ToHexStringLower(SHA256.HashData(content));
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        Task serving = ContentServer.ServeAsync(listener, content);
        string fetch = string.Create(CultureInfo.InvariantCulture, $"wget -q -O - http://$(ip route | awk '/^default/{{print $3}}'):{((IPEndPoint)listener.LocalEndpoint).Port}/ | sha256sum");

        using WorkingGuest guest = new();
        guest.Start("hyperv", "--balloon", "16M", "--max-memory", "384M", "--net", "user");
        Assert.StartsWith(digest, guest.Execute(WorkingGuest.Saved, fetch), StringComparison.Ordinal);

        // A card that came while it ran goes on with it.
        const string Ask = "ip link set eth1 up; udhcpc -i eth1 -s /bin/true -t 10 -T 1 -n -q >/dev/null 2>&1; echo $?";
        guest.Run("device", "add", WorkingGuest.Saved, "--net", "user");
        Assert.Equal("0\n", guest.Execute(WorkingGuest.Saved, $"until [ -e /sys/class/net/eth1 ]; do sleep 0.1; done; {Ask}"));

        // And so does memory that it got.
        const string Total = "awk '/MemTotal/ { exit !($2 > 300 * 1024) }' /proc/meminfo";
        guest.Run("memory", WorkingGuest.Saved, "384M");
        guest.Execute(WorkingGuest.Saved, $"until {Total}; do sleep 0.1; done");
        guest.SaveAndRestore();
        guest.Execute(WorkingGuest.Restored, Total);
        Assert.Equal("0\n", guest.Execute(WorkingGuest.Restored, Ask));
        guest.Run("device", "remove", WorkingGuest.Restored, "net1");
        Assert.Equal("lost\n", guest.Execute(WorkingGuest.Restored, "[ -e /sys/class/net/eth1 ] || echo lost"));
        Assert.StartsWith(digest, guest.Execute(WorkingGuest.Restored, fetch), StringComparison.Ordinal);
        Assert.Contains("Hypervisor detected: Microsoft Hyper-V", guest.Execute(WorkingGuest.Restored, "dmesg"), StringComparison.Ordinal);
        Assert.DoesNotContain("soft lockup", guest.Execute(WorkingGuest.Restored, "dmesg"), StringComparison.Ordinal);
        Assert.Equal("2\n", guest.Execute(WorkingGuest.Restored, "ls /sys/bus/vmbus/drivers/hv_storvsc/*-*-*-*-*/channels | wc -l"));
        Assert.Matches("^-?[0-5]\n$", guest.Execute(WorkingGuest.Restored, string.Create(CultureInfo.InvariantCulture, $"echo $(($(date +%s) - {DateTimeOffset.UtcNow.ToUnixTimeSeconds()}))")));

        // Its services know it still: it stops when it is asked to.
        guest.Run("stop", WorkingGuest.Restored);
        listener.Stop();
        await serving;
    }
}
