using System.Diagnostics;
using Lamina.Boot;
using Lamina.Cli.Images;
using Lamina.Cli.Images.Debian;
using Lamina.Guests.Machines;
using Lamina.Vmm;

namespace Lamina.Guests;

/// <summary>Debian's kernel as the ELF file that is inside it, entered by PVH: by Xen's rules where the guest sees Xen, and by those that Linux has for other hypervisors; and saved, and gone on with.</summary>
public sealed class PvhTests : IDisposable
{
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-pvh").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData(PersonalityKind.Xen, 1, "xvda")]
    [InlineData(PersonalityKind.Kvm, 1, "vda")]
    [InlineData(PersonalityKind.HyperV, 2, "sda")]
    public void A_kernel_that_is_entered_by_PVH_finds_its_processors_and_its_disk(PersonalityKind personality, int generation, string name)
    {
        bool isXen = personality == PersonalityKind.Xen;
        string disk = Path.Combine(_directory, "disk.raw");
        File.WriteAllBytes(disk, new byte[4 << 20]);
        BootImage kernel = BootImage.FromFile(Extract());
        using GuestMachine guest = GuestMachine.StartDebian(
            "translator",
            2,
            GuestHardware.Disk | (isXen ? GuestHardware.Xen : personality == PersonalityKind.HyperV ? GuestHardware.HyperV : 0),
            s => s with { Personality = personality, Generation = generation, Boot = s.Boot! with { Kernel = kernel }, Disks = [new DiskSettings { Path = disk }] });
        guest.ExpectPrompt();
        string messages = guest.Run("dmesg; dmesg -n 1");
        Assert.Equal(isXen, messages.Contains("Booting kernel on Xen PVH", StringComparison.Ordinal));
        Assert.Equal("2", guest.Run("nproc"));
        guest.Run($"dd if=/dev/urandom of=/dev/{name} bs=64k count=32 2>/dev/null; sync; echo 3 >/proc/sys/vm/drop_caches");
        string sum = guest.Run($"dd if=/dev/{name} bs=64k count=32 2>/dev/null | sha256sum").Split(' ')[0];

        // It is saved, and goes on under the other accelerator: with its grant frames, which lie where there is no RAM.
        string saved = Path.Combine(_directory, "saved");
        guest.GoOn(saved, "interpreter");
        Assert.StartsWith(sum, guest.Run($"echo 3 >/proc/sys/vm/drop_caches; dd if=/dev/{name} bs=64k count=32 2>/dev/null | sha256sum"), StringComparison.Ordinal);
        guest.Run($"dd if=/dev/{name} of=/dev/{name} bs=64k count=8 seek=32 oflag=direct 2>/dev/null; sync");
        IReadOnlyList<string> complaints = KernelComplaints.Find(guest.Run("dmesg"));
        guest.Type("exit\r");
        Assert.Equal(MachineOutcome.PoweredOff, guest.WaitForEnd().Outcome);
        Assert.True(complaints.Count == 0, $"The kernel complains:\n{string.Join('\n', complaints)}");
        using FileStream image = File.OpenRead(Path.Combine(saved, "disk0.raw"));
        byte[] written = new byte[(2 << 20) + (8 << 16)];
        image.ReadExactly(written);
        Assert.Equal(sum, Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(written.AsSpan(0, 2 << 20))));
        Assert.Equal(written[..(8 << 16)], written[(2 << 20)..]);
    }

    // A bzImage has the file in it, compressed, and begins with a program that unpacks it.
    private string Extract()
    {
        byte[] packed = File.ReadAllBytes(GuestImages.Get(DebianImage.Cloud).GetPath(DebianImage.Kernel));
        string plain = Path.Combine(_directory, "vmlinux");
        foreach ((byte[] magic, string tool) in new[] { ((byte[])[0x02, 0x21, 0x4c, 0x18], "lz4"), ([0xfd, 0x37, 0x7a, 0x58, 0x5a, 0], "xz") })
        {
            int at = packed.AsSpan().IndexOf(magic);
            if (at < 0)
            {
                continue;
            }

            Assert.SkipUnless((Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(d => File.Exists(Path.Combine(d, tool))), $"'{tool}' is not installed, which unpacks the kernel.");
            File.WriteAllBytes(Path.Combine(_directory, "packed"), packed[at..]);
            using Process process = Process.Start(new ProcessStartInfo("sh", ["-c", $"{tool} -dc '{_directory}/packed' >'{plain}' 2>/dev/null"]))!;
            process.WaitForExit();
            if (new FileInfo(plain) is { Exists: true, Length: > 1 << 20 })
            {
                return plain;
            }
        }

        Assert.Skip("The kernel is compressed in a way that this test does not know.");
        return "";
    }
}
