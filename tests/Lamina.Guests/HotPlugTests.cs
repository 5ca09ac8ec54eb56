using System.Globalization;
using System.Security.Cryptography;
using Lamina.Cli.Images;
using Lamina.Guests.Machines;
using Lamina.Storage;
using Lamina.Vmm;

namespace Lamina.Guests;

/// <summary>Debian's ACPI hot-plug driver: disks and a network card come, are used, grow, and go.</summary>
public sealed class HotPlugTests : IDisposable
{
    private const int DiskSize = 16 << 20;
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(2);
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-plug").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData("translator")]
    public void Disks_and_cards_come_and_go(string accelerator)
    {
        string first = MakeDisk("first.img", DiskFormat.Raw);
        string second = MakeDisk("second.qcow2", DiskFormat.Qcow2);
        GuestHardware hardware = GuestHardware.Disk | GuestHardware.Network;
        using GuestMachine guest = GuestMachine.StartDebian(accelerator, 2, hardware, s => s with { Disks = [new DiskSettings { Path = first }] });
        List<string> notices = [];
        guest.Machine.Noticed += notices.Add;
        guest.ExpectPrompt();
        guest.Run("dmesg -n 1");

        // A disk comes, and is used.
        for (int round = 0; round < 2; round++)
        {
            Assert.Equal("disk1", guest.Machine.AttachDisk(new DiskSettings { Path = second, Serial = $"round{round}" }));
            WaitFor(guest, "[ -e /sys/block/vdb ]");
            Assert.Equal($"round{round}", guest.Run("cat /sys/block/vdb/serial"));
            string sum = guest.Run("dd if=/dev/urandom of=/dev/vdb bs=1M count=4 oflag=direct 2>/dev/null; dd if=/dev/vdb bs=1M count=4 iflag=direct 2>/dev/null | sha256sum")[..64];

            // It goes, and what was written is there.
            Assert.True(guest.Machine.Detach("disk1", Patience), $"The guest did not give the disk up:\n{guest.Console}");
            WaitFor(guest, "[ ! -e /sys/block/vdb ]");
            Assert.Equal(sum, Hash(second, 4 << 20));
        }

        // One grows under the guest.
        guest.Machine.ResizeDisk("disk0", 2 * DiskSize);
        WaitFor(guest, string.Create(CultureInfo.InvariantCulture, $"[ \"$(cat /sys/block/vda/size)\" = {2 * DiskSize / 512} ]"));
        Assert.Equal("4+0 records out", guest.Run("dd if=/dev/zero of=/dev/vda bs=1M seek=28 count=4 oflag=direct 2>&1 | grep out"));

        // A card comes and goes.
        if (HasPasst)
        {
            Assert.Equal("net0", guest.Machine.AttachNetwork(new NetworkSettings()));
            WaitFor(guest, "[ -e /sys/class/net/eth0 ]");
            guest.Run("ip link set eth0 up");
            WaitFor(guest, "[ \"$(cat /sys/class/net/eth0/operstate)\" = up ]");
            Assert.True(guest.Machine.Detach("net0", Patience), $"The guest did not give the card up:\n{guest.Console}");
            WaitFor(guest, "[ ! -e /sys/class/net/eth0 ]");
        }

        // The guest ejects by itself.
        Assert.Empty(notices);
        guest.Run("for slot in /sys/bus/pci/slots/*; do [ \"$(cat $slot/address)\" = 0000:00:01 ] && echo 0 >$slot/power; done");
        Assert.True(SpinWait.SpinUntil(() => guest.Machine.CurrentSettings.Disks.Count == 0, Patience));
        Assert.Contains("disk0", Assert.Single(notices), StringComparison.Ordinal);
        IReadOnlyList<string> complaints = KernelComplaints.Find(guest.Run("dmesg"));
        Assert.True(complaints.Count == 0, $"The kernel complains:\n{string.Join('\n', complaints)}");
        guest.Type("exit\r");
        Assert.Equal(MachineOutcome.PoweredOff, guest.WaitForEnd().Outcome);
    }

    private static bool HasPasst => $"{Environment.GetEnvironmentVariable("PATH")}".Split(':').Any(d => File.Exists(Path.Combine(d, "passt")));

    private static void WaitFor(GuestMachine guest, string condition) => Assert.Equal("yes", guest.Run($"until {condition}; do sleep 0.1; done; echo yes"));

    private string MakeDisk(string name, DiskFormat format)
    {
        string path = Path.Combine(_directory, name);
        DiskImages.Create(path, format, DiskSize, null);
        return path;
    }

    private string Hash(string path, int length)
    {
        string raw = Path.Combine(_directory, "copy.img");
        File.Delete(raw);
        using (DiskImage image = DiskImages.Open(path, null, writable: false))
        {
            DiskImages.Create(raw, DiskFormat.Raw, image.Length, null);
            using DiskImage copy = DiskImages.Open(raw, DiskFormat.Raw, writable: true);
            DiskCopy.Run(image, copy);
        }

        return Convert.ToHexStringLower(SHA256.HashData(File.ReadAllBytes(raw).AsSpan(0, length)));
    }
}
