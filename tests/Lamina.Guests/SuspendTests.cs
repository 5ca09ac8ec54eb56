using System.Globalization;
using Lamina.Cli.Images;
using Lamina.Guests.Machines;
using Lamina.Storage;
using Lamina.Vmm;

namespace Lamina.Guests;

/// <summary>Debian suspends to RAM (ACPI S3) and wakes, with its processors, disks and cards.</summary>
public sealed class SuspendTests : IDisposable
{
    private const int DiskSize = 16 << 20;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-suspend").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public void Debian_sleeps_and_goes_on()
    {
        string disk = Path.Combine(_directory, "disk.qcow2");
        DiskImages.Create(disk, DiskFormat.Qcow2, DiskSize, null);
        using GuestMachine guest = GuestMachine.StartDebian("translator", 2, GuestHardware.Disk, s => s with { Disks = [new DiskSettings { Path = disk }] });
        guest.ExpectPrompt();
        guest.Run("dmesg -n 1");
        string sum = guest.Run("dd if=/dev/urandom of=/dev/vda bs=1M count=4 2>/dev/null; dd if=/dev/vda bs=1M count=4 2>/dev/null | sha256sum");

        // An alarm wakes it.
        long before = long.Parse(guest.Run("cut -d. -f1 /proc/uptime; echo +2 > /sys/class/rtc/rtc0/wakealarm").Trim(), CultureInfo.InvariantCulture);
        Assert.Equal("0", guest.Run("echo mem > /sys/power/state; echo $?"));
        Assert.False(guest.Machine.IsAsleep);
        long after = long.Parse(guest.Run("cut -d. -f1 /proc/uptime").Trim(), CultureInfo.InvariantCulture);
        Assert.True(after - before >= 1, $"it slept from {before} s to {after} s");

        // The host wakes it, and it reads what it has written from the disk itself.
        guest.Type("echo mem > /sys/power/state\r");
        Assert.True(SpinWait.SpinUntil(() => guest.Machine.IsAsleep, Patience), $"The guest did not fall asleep:\n{guest.Console}");
        guest.Machine.Wake();
        guest.ExpectPrompt();
        Assert.Equal(sum, guest.Run("dd if=/dev/vda bs=1M count=4 iflag=direct 2>/dev/null | sha256sum"));
        Assert.Equal("2", guest.Run("nproc"));
        Assert.Equal("2", guest.Run("cat /sys/power/suspend_stats/success"));
        IReadOnlyList<string> complaints = KernelComplaints.Find(guest.Run("dmesg"));
        Assert.True(complaints.Count == 0, $"The kernel complains:\n{string.Join('\n', complaints)}");
        guest.Type("exit\r");
        Assert.Equal(MachineOutcome.PoweredOff, guest.WaitForEnd().Outcome);
    }
}
