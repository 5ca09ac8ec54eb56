using System.Globalization;
using Lamina.Cli.Images;
using Lamina.Guests.Machines;
using Lamina.Virtio.Balloon;
using Lamina.Vmm;

namespace Lamina.Guests;

/// <summary>Debian's driver on a memory balloon: the host gets memory back, and the guest gets it again.</summary>
public sealed class BalloonTests
{
    private const ulong Mebibyte = 1 << 20;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);

    [Fact]
    public async Task The_host_gets_pages_back_and_the_guest_gets_them_again()
    {
        CancellationToken cancellation = TestContext.Current.CancellationToken;
        using GuestMachine guest = GuestMachine.StartDebian("translator", 2, GuestHardware.Balloon, s => s with { Balloon = new BalloonSettings { ReportsFreePages = false } });
        guest.ExpectPrompt();
        guest.Run("dmesg -n 1");
        MemoryBalloon balloon = guest.Machine.Balloon!;
        guest.Run("dd if=/dev/urandom of=/tmp/data bs=1M count=220 2>/dev/null; rm /tmp/data");
        long before = ResidentSize;
        IReadOnlyDictionary<BalloonStatistic, ulong> statistics = await balloon.ReadStatisticsAsync(cancellation);
        Assert.InRange(statistics[BalloonStatistic.TotalMemory], 400 * Mebibyte, 512 * Mebibyte);
        ulong free = statistics[BalloonStatistic.FreeMemory];

        balloon.Target = 300 * Mebibyte;
        Await(guest, () => balloon.Size == 300 * Mebibyte);
        long after = ResidentSize;
        Assert.True(before - after > (long)(150 * Mebibyte), $"The process had {before} bytes, and has {after}.");
        statistics = await balloon.ReadStatisticsAsync(cancellation);
        Assert.True(statistics[BalloonStatistic.FreeMemory] < free - (200 * Mebibyte), $"The guest had {free} free bytes, and has {statistics[BalloonStatistic.FreeMemory]}.");

        balloon.Target = 0;
        Await(guest, () => balloon.Size == 0);
        Assert.Equal("", guest.Run("dd if=/dev/urandom of=/tmp/data bs=1M count=220 2>/dev/null; sha256sum /tmp/data >/tmp/sum; sha256sum -cs /tmp/sum; rm /tmp/data"));

        // More than there is: the guest takes pages back rather than kill somebody.
        balloon.Target = 480 * Mebibyte;
        Await(guest, () => balloon.Size > 380 * Mebibyte);
        Assert.Equal("still here", guest.Run("echo still here"));
        AssertEnd(guest);
    }

    [Fact]
    public void The_host_gets_free_pages_without_asking()
    {
        using GuestMachine guest = GuestMachine.StartDebian("translator", 1, GuestHardware.Balloon, s => s with { Balloon = new BalloonSettings() });
        guest.ExpectPrompt();
        guest.Run("dmesg -n 1");
        guest.Run("dd if=/dev/urandom of=/tmp/data bs=1M count=220 2>/dev/null");
        ulong reported = guest.Machine.Balloon!.ReportedBytes;
        guest.Run("rm /tmp/data");

        // What is reported has been given back. The process's size says little: machines of other tests grow beside this one.
        Await(guest, () => guest.Machine.Balloon.ReportedBytes - reported > 150 * Mebibyte);
        Assert.Equal(0UL, guest.Machine.Balloon.Size);
        Assert.Equal("", guest.Run("dd if=/dev/urandom of=/tmp/data bs=1M count=220 2>/dev/null; sha256sum /tmp/data >/tmp/sum; sha256sum -cs /tmp/sum"));
        AssertEnd(guest);
    }

    private static long ResidentSize
    {
        get
        {
            string line = File.ReadLines("/proc/self/status").First(l => l.StartsWith("RssAnon:", StringComparison.Ordinal));
            return 1024 * long.Parse(line.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture);
        }
    }

    // The guest's own commands let its time pass.
    private static void Await(GuestMachine guest, Func<bool> condition)
    {
        long end = Environment.TickCount64 + (long)Patience.TotalMilliseconds;
        while (!condition())
        {
            Assert.True(Environment.TickCount64 < end, $"The guest did not do what it was asked; its balloon has {guest.Machine.Balloon!.Size} bytes, and it reported {guest.Machine.Balloon.ReportedBytes}.");
            guest.Run("usleep 100000");
        }
    }

    private static void AssertEnd(GuestMachine guest)
    {
        guest.Machine.Balloon!.Target = 0;
        IReadOnlyList<string> complaints = KernelComplaints.Find(guest.Run("dmesg"));
        Assert.True(complaints.All(c => c.Contains("Out of puff", StringComparison.Ordinal)), $"The kernel complains:\n{string.Join('\n', complaints)}");
        guest.Type("exit\r");
        Assert.Equal(MachineOutcome.PoweredOff, guest.WaitForEnd().Outcome);
    }
}
