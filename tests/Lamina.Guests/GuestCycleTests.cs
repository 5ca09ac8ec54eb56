using System.Globalization;
using Lamina.Cli.Images;
using Lamina.Guests.Machines;
using Lamina.Vmm;
using Lamina.Vmm.Snapshots;

namespace Lamina.Guests;

/// <summary>
/// A Debian guest of two processors that writes and checks its disk without end, and is saved and restored in the middle of that as often as <c>LAMINA_GUEST_CYCLES</c> says, by turns under each accelerator, in full and by
/// changes: every piece that it reads again is what it has written.
/// </summary>
public sealed class GuestCycleTests : IDisposable
{
    private const string Switch = "LAMINA_GUEST_CYCLES";
    private const int ChainLength = 8;
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-cycles").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData(PersonalityKind.Xen, "xvda")]
    [InlineData(PersonalityKind.HyperV, "sda")]
    [InlineData(PersonalityKind.VMware, "sda")]
    public void Work_that_is_saved_and_restored_over_and_over_is_right(PersonalityKind personality, string name)
    {
        string? wanted = Environment.GetEnvironmentVariable(Switch);
        Assert.SkipWhen(wanted == null, $"Set {Switch} to the number of cycles.");
        int cycles = int.Parse(wanted, CultureInfo.InvariantCulture);
        string disk = Path.Combine(_directory, "disk.raw");
        File.WriteAllBytes(disk, new byte[1 << 20]);
        using GuestMachine guest = GuestMachine.StartDebian(
            "translator",
            2,
            GuestHardware.Disk | (personality == PersonalityKind.Xen ? GuestHardware.Xen : personality == PersonalityKind.HyperV ? GuestHardware.HyperV : GuestHardware.VMware),
            s => s with { Personality = personality, MemorySize = 256UL << 20, Disks = [new DiskSettings { Path = disk }] });
        guest.ExpectPrompt();
        guest.Run("dmesg -n 1; echo 0 >/tmp/count");
        guest.Run($"while :; do dd if=/dev/urandom of=/tmp/piece bs=64k count=4 2>/dev/null; dd if=/tmp/piece of=/dev/{name} bs=64k seek=$((n % 4 * 4)) oflag=direct conv=notrunc 2>/dev/null || echo $n cannot be written >>/tmp/bad; "
            + $"dd if=/dev/{name} of=/tmp/again bs=64k skip=$((n % 4 * 4)) count=4 iflag=direct 2>/dev/null || echo $n cannot be read >>/tmp/bad; cmp /tmp/piece /tmp/again || echo $n differs >>/tmp/bad; "
            + "n=$((n + 1)); echo $n >/tmp/count.new; mv /tmp/count.new /tmp/count; done &");
        List<string> chain = [];
        for (int cycle = 0; cycle < cycles; cycle++)
        {
            guest.Run("a=$(cat /tmp/count); until [ $(cat /tmp/count) -gt $a ]; do sleep 0.05; done");
            bool standsAlone = chain.Count is 0 or ChainLength;
            string next = Path.Combine(_directory, cycle.ToString(CultureInfo.InvariantCulture));
            guest.GoOn(next, cycle % 2 == 0 ? "interpreter" : "translator", new SnapshotOptions { Base = standsAlone ? null : BaseSnapshot.Read(chain[^1], next), IsCompressed = cycle % 5 == 3 });
            if (standsAlone)
            {
                chain.ForEach(static old => Directory.Delete(old, recursive: true));
                chain.Clear();
            }

            chain.Add(next);
            Assert.Equal("", guest.Run("cat /tmp/bad 2>/dev/null; true"));
        }

        Assert.DoesNotContain("soft lockup", guest.Run("dmesg"), StringComparison.Ordinal);
        guest.Type("exit\r");
        Assert.Equal(MachineOutcome.PoweredOff, guest.WaitForEnd().Outcome);
    }
}
