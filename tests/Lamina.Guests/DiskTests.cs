using System.Diagnostics;
using System.Globalization;
using Lamina.Cli.Images;
using Lamina.Guests.Machines;
using Lamina.Machine.Limits;
using Lamina.Storage;
using Lamina.Vmm;

namespace Lamina.Guests;

/// <summary>Debian's drivers on a disk with a file system that the host made, and that the host checks afterwards.</summary>
public sealed class DiskTests : IDisposable
{
    private const int DiskSize = 64 << 20;
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-disk").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [MemberData(nameof(AcceleratorData.WithProcessors), MemberType = typeof(AcceleratorData))]
    public void A_file_system_is_read_written_and_left_clean(string accelerator, int processors)
    {
        string image = MakeFileSystem();
        string sum;
        using (GuestMachine guest = GuestMachine.StartDebian(accelerator, processors, GuestHardware.Disk, s => s with { Disks = [new DiskSettings { Path = image, Serial = "a-disk" }] }))
        {
            guest.ExpectPrompt();
            guest.Run("dmesg -n 1");
            Assert.Equal("a-disk", guest.Run("cat /sys/block/vda/serial"));
            Assert.Equal($"{DiskSize / 512}", guest.Run("cat /sys/block/vda/size"));
            Assert.Equal(processors.ToString(System.Globalization.CultureInfo.InvariantCulture), guest.Run("ls /sys/block/vda/mq | wc -l"));
            Assert.Equal("", guest.Run("mount -t ext4 /dev/vda /mnt"));
            Assert.Equal("from the host", guest.Run("cat /mnt/host/file"));
            Assert.Equal("", guest.Run("dd if=/dev/urandom of=/mnt/data bs=1M count=8 2>/dev/null; echo from the guest >/mnt/answer; sync"));
            guest.Run("echo 3 >/proc/sys/vm/drop_caches");
            sum = guest.Run("sha256sum </mnt/data");
            guest.Run("echo 3 >/proc/sys/vm/drop_caches");
            Assert.Equal(sum, guest.Run("sha256sum </mnt/data"));

            // More requests at once than there are places.
            guest.Run("for i in 1 2 3 4 5 6 7 8; do dd if=/dev/vda of=/dev/null bs=64k skip=$((i * 100)) count=100 2>/dev/null & done; wait");
            Assert.Equal("", guest.Run("umount /mnt"));
            Assert.Equal("0", guest.Run("dmesg | grep -c -i -E 'I/O error|vda.*(fail|timeout)'"));
            IReadOnlyList<string> complaints = KernelComplaints.Find(guest.Run("dmesg"));
            Assert.True(complaints.Count == 0, $"The kernel complains:\n{string.Join('\n', complaints)}");
            guest.Type("exit\r");
            Assert.Equal(MachineOutcome.PoweredOff, guest.WaitForEnd().Outcome);
        }

        Assert.Equal(0, RunTool("e2fsck", "-fn", image).Status);
        Assert.Equal("from the guest\n", RunTool("debugfs", "-R", "cat /answer", image).Output);
        RunTool("debugfs", "-R", $"dump /data {_directory}/data", image);
        Assert.Equal(sum.Split(' ')[0], Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(File.ReadAllBytes($"{_directory}/data"))));
    }

    [Fact]
    public void A_disk_that_is_read_only_stays_as_it_is()
    {
        string image = MakeFileSystem();
        byte[] before = File.ReadAllBytes(image);
        using (GuestMachine guest = GuestMachine.StartDebian("translator", 1, GuestHardware.Disk, s => s with { Disks = [new DiskSettings { Path = image, IsReadOnly = true }] }))
        {
            guest.ExpectPrompt();
            Assert.Equal("1", guest.Run("cat /sys/block/vda/ro"));
            Assert.Contains("read-only", guest.Run("mount -t ext4 /dev/vda /mnt; mount | grep vda; echo x >/mnt/y"), StringComparison.OrdinalIgnoreCase);
            guest.Type("exit\r");
            guest.WaitForEnd();
        }

        Assert.Equal(before, File.ReadAllBytes(image));
    }

    [Fact]
    public void An_overlay_takes_the_writes_and_leaves_its_base()
    {
        string image = MakeFileSystem();
        byte[] before = File.ReadAllBytes(image);
        string overlay = Path.Combine(_directory, "overlay.qcow2");
        DiskImages.Create(overlay, DiskFormat.Qcow2, null, image);
        for (int boot = 0; boot < 2; boot++)
        {
            using GuestMachine guest = GuestMachine.StartDebian("translator", 1, GuestHardware.Disk, s => s with { Disks = [new DiskSettings { Path = overlay }] });
            guest.ExpectPrompt();
            guest.Run("dmesg -n 1; mount -t ext4 /dev/vda /mnt");
            Assert.Equal("from the host", guest.Run("cat /mnt/host/file"));
            Assert.Equal(boot == 0 ? "" : "kept", guest.Run("cat /mnt/kept 2>/dev/null"));
            Assert.Equal("", guest.Run("echo kept >/mnt/kept; dd if=/dev/zero of=/mnt/zeroes bs=1M count=4 2>/dev/null; umount /mnt"));
            guest.Type("exit\r");
            Assert.Equal(MachineOutcome.PoweredOff, guest.WaitForEnd().Outcome);
        }

        Assert.Equal(before, File.ReadAllBytes(image));
    }

    [Fact]
    public void A_limited_disk_takes_its_time_until_the_limit_is_lifted()
    {
        string image = Path.Combine(_directory, "disk");
        File.WriteAllBytes(image, new byte[16 << 20]);
        IoLimits limits = new() { BytesPerSecond = 2 << 20 };
        using GuestMachine guest = GuestMachine.StartDebian("translator", 1, GuestHardware.Disk, s => s with { Disks = [new DiskSettings { Path = image, Limits = limits }] });
        guest.ExpectPrompt();

        // By the guest's clock, which counts hundredths; a shell would take what it writes within the first second, "0.98" without its point, for an octal number.
        const string Read = "now() {{ awk '{{ printf \"%d\", $1 * 100 }}' /proc/uptime; }}; s=$(now); dd if=/dev/vda of=/dev/null bs=1M skip={0} count=6 2>/dev/null; echo $(($(now) - s))";
        int slow = int.Parse(guest.Run(string.Format(CultureInfo.InvariantCulture, Read, 0)), CultureInfo.InvariantCulture);
        Assert.InRange(slow, 240, 600);
        guest.Machine.SetLimits("disk0", IoLimits.None);
        int fast = int.Parse(guest.Run(string.Format(CultureInfo.InvariantCulture, Read, 8)), CultureInfo.InvariantCulture);
        Assert.InRange(fast, 0, 200);
        guest.Type("exit\r");
        Assert.Equal(MachineOutcome.PoweredOff, guest.WaitForEnd().Outcome);
    }

    [Fact]
    public void Memory_mapped_devices_share_interrupts_and_keep_their_data()
    {
        string image = MakeFileSystem();
        string other = Path.Combine(_directory, "other");
        File.WriteAllBytes(other, new byte[8 << 20]);
        DiskSettings[] disks = [new DiskSettings { Path = image }, .. Enumerable.Range(0, 9).Select(_ => new DiskSettings { Path = other, IsReadOnly = true })];
        using (GuestMachine guest = GuestMachine.StartDebian(
            "translator", 2, GuestHardware.Disk | GuestHardware.MappedDevices, s => s with { Transport = VirtioTransport.Mmio, Disks = disks }))
        {
            guest.ExpectPrompt();
            guest.Run("dmesg -n 1");
            Assert.Equal("", guest.Run("ls -d /sys/bus/pci/drivers/virtio-pci/0* 2>/dev/null"));
            Assert.Equal("10", guest.Run("ls -d /sys/block/vd* | wc -l"));
            Assert.Equal("", guest.Run("mount -t ext4 /dev/vda /mnt"));
            Assert.Equal("from the host", guest.Run("cat /mnt/host/file"));
            guest.Run("dd if=/dev/urandom of=/mnt/data bs=1M count=8 2>/dev/null & dd if=/dev/vdi of=/dev/null bs=64k 2>/dev/null & wait; sync; echo 3 >/proc/sys/vm/drop_caches");
            string sum = guest.Run("sha256sum </mnt/data");
            guest.Run("echo 3 >/proc/sys/vm/drop_caches");
            Assert.Equal(sum, guest.Run("sha256sum </mnt/data; umount /mnt"));
            IReadOnlyList<string> complaints = KernelComplaints.Find(guest.Run("dmesg"));
            Assert.True(complaints.Count == 0, $"The kernel complains:\n{string.Join('\n', complaints)}");
            guest.Type("exit\r");
            Assert.Equal(MachineOutcome.PoweredOff, guest.WaitForEnd().Outcome);
        }

        Assert.Equal(0, RunTool("e2fsck", "-fn", image).Status);
    }

    [Fact]
    public void Several_disks_keep_their_order_through_a_reset()
    {
        string[] images = [.. Enumerable.Range(0, 3).Select(i => Path.Combine(_directory, $"disk{i}"))];
        for (int i = 0; i < images.Length; i++)
        {
            File.WriteAllBytes(images[i], new byte[(i + 1) << 20]);
        }

        using GuestMachine guest = GuestMachine.StartDebian("translator", 2, GuestHardware.Disk, s => s with { OnReboot = RebootAction.Restart, Disks = [.. images.Select(p => new DiskSettings { Path = p })] });
        for (int boot = 0; boot < 2; boot++)
        {
            guest.ExpectPrompt();
            Assert.Equal("2048 4096 6144", guest.Run("echo $(cat /sys/block/vda/size /sys/block/vdb/size /sys/block/vdc/size)"));
            if (boot == 0)
            {
                // With requests under way.
                guest.Type("(while :; do dd if=/dev/zero of=/dev/vdc bs=64k 2>/dev/null; done) & sync; reboot -f\r");
                guest.Expect("Linux version");
            }
        }

        guest.Type("exit\r");
        Assert.Equal(MachineOutcome.PoweredOff, guest.WaitForEnd().Outcome);
    }

    private string MakeFileSystem()
    {
        string content = Path.Combine(_directory, "content");
        Directory.CreateDirectory(Path.Combine(content, "host"));
        File.WriteAllText(Path.Combine(content, "host/file"), "from the host\n");
        string image = Path.Combine(_directory, "disk.img");
        (int status, string output) = RunTool("mke2fs", "-q", "-t", "ext4", "-d", content, image, $"{DiskSize >> 10}k");
        Assert.True(status == 0, output);
        return image;
    }

    private static (int Status, string Output) RunTool(string program, params string[] arguments)
    {
        string path = $"{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin:/sbin";
        string? file = path.Split(':').Select(d => Path.Combine(d, program)).FirstOrDefault(File.Exists);
        Assert.SkipWhen(file == null, $"'{program}' is not installed (package e2fsprogs).");
        using Process process = Process.Start(new ProcessStartInfo(file!, arguments) { RedirectStandardOutput = true, RedirectStandardError = true })!;
        Task<string> error = process.StandardError.ReadToEndAsync();
        string output = process.StandardOutput.ReadToEnd();
        process.WaitForExit();
        _ = error.Result;
        return (process.ExitCode, output);
    }
}
