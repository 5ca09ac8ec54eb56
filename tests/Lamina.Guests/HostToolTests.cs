using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using Lamina.Cli.Arguments;
using Lamina.Cli.Images;
using Lamina.Guests.Machines;
using Lamina.Storage;
using Lamina.Vmm;

namespace Lamina.Guests;

/// <summary>
/// fio, which verifies what it wrote, and iperf3 through passt, in a guest that has the host's programs in a shared folder: Debian's drivers for disks, networks and folders at work at once.
/// </summary>
public sealed class HostToolTests : IDisposable
{
    private const int DiskSize = 64 << 20;
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-tools").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Theory]
    [InlineData(DiskFormat.Raw)]
    [InlineData(DiskFormat.Qcow2)]
    public void What_fio_writes_it_reads_again(DiskFormat format)
    {
        SkipWithout("fio");
        string image = Path.Combine(_directory, "disk");
        DiskImages.Create(image, format, DiskSize, null);
        using (GuestMachine guest = StartWithHost(GuestHardware.Disk, s => s with { Disks = [new DiskSettings { Path = image, Format = format }] }))
        {
            string common = $"--filename=/dev/vda --direct=1 --ioengine=libaio --size={DiskSize} --verify=crc32c --verify_fatal=1 --do_verify=1 --group_reporting --minimal";
            Assert.Equal("status 0", RunHostTool(guest, $"fio --name=random --rw=randwrite --bs=4k-64k --iodepth=32 {common}"));
            Assert.Equal("status 0", RunHostTool(guest, "blkdiscard -o 0 -l 16777216 /dev/vda"));
            Assert.Equal("status 0", RunHostTool(guest, $"fio --name=sequential --rw=write --bs=128k --iodepth=4 {common}"));
            Assert.Equal("0", guest.Run("dmesg | grep -c -i -E 'I/O error|vda.*(fail|timeout)'"));
            guest.Type("exit\r");
            Assert.Equal(MachineOutcome.PoweredOff, guest.WaitForEnd().Outcome);
        }

        if (format == DiskFormat.Qcow2)
        {
            Assert.Equal(0, DiskMaintenance.Check(image, format, DiskRepair.None, null).Errors);
        }
    }

    [Fact]
    public void Iperf3_goes_through_passt_both_ways()
    {
        SkipWithout("iperf3");
        SkipWithout("passt");
        int port = GetFreePort();
        using Process server = Process.Start(new ProcessStartInfo("iperf3", ["-s", "--forceflush", "-p", port.ToString(CultureInfo.InvariantCulture)]) { RedirectStandardOutput = true })!;
        try
        {
            Assert.NotNull(server.StandardOutput.ReadLine());
            using GuestMachine guest = StartWithHost(GuestHardware.Network, static s => s with { Networks = [new NetworkSettings()] });
            string gateway = guest.Run("ip route | awk '/^default/{print $3}'");
            Assert.Equal("status 0", RunHostTool(guest, $"iperf3 -c {gateway} -p {port} -n 32M"));
            Assert.Equal("status 0", RunHostTool(guest, $"iperf3 -c {gateway} -p {port} -n 32M -R"));
            Assert.Equal("status 0", RunHostTool(guest, $"iperf3 -c {gateway} -p {port} -u -b 50M -t 1"));
        }
        finally
        {
            server.Kill();
            server.WaitForExit();
        }
    }

    private static GuestMachine StartWithHost(GuestHardware hardware, Func<MachineSettings, MachineSettings> change)
    {
        ShareSettings host = new() { Path = "/", Tag = ShareArgument.GetTag(0), IsReadOnly = true };
        GuestMachine guest = GuestMachine.StartDebian("translator", 1, hardware | GuestHardware.Share, s => change(s) with { Shares = [host] });
        guest.ExpectPrompt();
        guest.Run("dmesg -n 1; mkdir /host");
        Assert.Equal("", guest.Run($"mount -t virtiofs -o ro {host.Tag} /host && mount -t devtmpfs none /host/dev && mount -t proc none /host/proc && mount -t tmpfs none /host/tmp"));

        // Loading these modules sorts tables that lie across pages.
        Assert.Equal("0", guest.Run("dmesg | grep -c -E 'ftrace bug|WARNING:'"));
        return guest;
    }

    private static string RunHostTool(GuestMachine guest, string command)
    {
        string text = guest.Run($"chroot /host sh -c 'cd /tmp && exec {command}' >/tmp/output 2>&1; status=$?; [ $status = 0 ] || cat /tmp/output; echo status $status");
        return text.Split('\n')[^1] == "status 0" ? "status 0" : text;
    }

    private static int GetFreePort()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        return ((IPEndPoint)listener.LocalEndpoint).Port;
    }

    private static void SkipWithout(string program)
    {
        Assert.SkipUnless($"{Environment.GetEnvironmentVariable("PATH")}".Split(':').Any(d => File.Exists(Path.Combine(d, program))), $"'{program}' is not installed.");
    }
}
