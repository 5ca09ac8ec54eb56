using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Cryptography;
using Lamina.Guests.Processes;

namespace Lamina.Guests;

/// <summary>A Debian guest under Xen's personality that writes and checks its disk without end is saved, and goes on from there with its disk, its card, its channels, its balloon and its files; and so does a copy of it.</summary>
public sealed class XenSnapshotTests
{
    private const string Balloon =
        "cd /sys/devices/system/xen_memory/xen_memory0; until [ $(($(cat info/current_kb))) -le $(($(cat target_kb))) ]; do sleep 0.1; done; echo $(cat info/current_kb)";

    [Fact]
    public async Task A_busy_guest_of_Xen_goes_on_with_its_disk_its_card_and_its_files()
    {
        Assert.SkipUnless((Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(d => File.Exists(Path.Combine(d, "passt"))), "'passt' is not installed (package passt).");
        byte[] content = RandomNumberGenerator.GetBytes(1 << 20);
        string digest = Convert.ToHexStringLower(SHA256.HashData(content));
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        Task serving = ContentServer.ServeAsync(listener, content);
        string fetch = string.Create(CultureInfo.InvariantCulture, $"wget -q -O - http://$(ip route | awk '/^default/{{print $3}}'):{((IPEndPoint)listener.LocalEndpoint).Port}/ | sha256sum");

        using WorkingGuest guest = new();
        guest.Start("xen", "--balloon", "16M", "--net", "user");
        Assert.StartsWith(digest, guest.Execute(WorkingGuest.Saved, fetch), StringComparison.Ordinal);
        string given = guest.Execute(WorkingGuest.Saved, Balloon);
        guest.SaveAndRestore("--step-clock");
        Assert.StartsWith(digest, guest.Execute(WorkingGuest.Restored, fetch), StringComparison.Ordinal);
        string messages = guest.Execute(WorkingGuest.Restored, "dmesg");
        Assert.Contains("Hypervisor detected: Xen HVM", messages, StringComparison.Ordinal);
        Assert.DoesNotContain("soft lockup", messages, StringComparison.Ordinal);
        Assert.Equal("vbd-51712\nvif-0\n", guest.Execute(WorkingGuest.Restored, "ls -1 /sys/bus/xen/devices"));
        Assert.Matches("^-?[0-5]\n$", guest.Execute(WorkingGuest.Restored, string.Create(CultureInfo.InvariantCulture, $"echo $(($(date +%s) - {DateTimeOffset.UtcNow.ToUnixTimeSeconds()}))")));

        // What it has given back, it has not taken again.
        Assert.Equal(given, guest.Execute(WorkingGuest.Restored, Balloon));

        // Once more, after it has suspended itself: it goes on, and so does the one that was saved.
        guest.SaveSuspended(WorkingGuest.Restored);
        Assert.Contains("Freezing user space processes", guest.Execute(WorkingGuest.Restored, "dmesg"), StringComparison.Ordinal);
        Assert.Contains("Freezing user space processes", guest.Execute(WorkingGuest.Suspended, "dmesg"), StringComparison.Ordinal);
        Assert.Equal("vbd-51712\nvif-0\n", guest.Execute(WorkingGuest.Suspended, "ls -1 /sys/bus/xen/devices"));
        guest.Run("kill", WorkingGuest.Suspended);

        // Another goes on beside it, and both do right.
        guest.Run("clone", WorkingGuest.Restored, WorkingGuest.Copied, "--allow-host-paths");
        guest.CheckWork(WorkingGuest.Copied);
        guest.CheckWork(WorkingGuest.Restored);

        // It hears what the host writes into the store, and stops when it is asked to.
        guest.Run("stop", WorkingGuest.Restored);
        listener.Stop();
        await serving;
    }
}
