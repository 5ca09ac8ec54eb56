using Lamina.Cli.Images.Debian;
using Lamina.Guests.Machines;
using Lamina.Guests.Processes;

namespace Lamina.Guests;

/// <summary>A Debian guest under VMware's personality that writes and checks its disk without end is saved, and goes on from there with its adapter, its card and its files.</summary>
public sealed class VMwareSnapshotTests : IDisposable
{
    // Every round writes a piece past the guest's cache, reads it again, and compares.
    private const string Work = """
        n=0
        while :; do
            dd if=/dev/urandom of=/tmp/piece bs=64k count=4 2>/dev/null
            dd if=/tmp/piece of=/dev/sda bs=64k seek=$((n % 4 * 4)) oflag=direct conv=notrunc 2>>/tmp/log || echo $n cannot be written >>/tmp/bad
            dd if=/dev/sda of=/tmp/again bs=64k skip=$((n % 4 * 4)) count=4 iflag=direct 2>>/tmp/log || echo $n cannot be read >>/tmp/bad
            cmp /tmp/piece /tmp/again 2>>/tmp/bad || echo $n differs >>/tmp/bad
            n=$((n + 1))
            echo $n >/tmp/count.new
            mv /tmp/count.new /tmp/count
        done
        """;

    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-vmware").FullName;
    private readonly Dictionary<string, string> _environment;

    public VMwareSnapshotTests()
    {
        _environment = new Dictionary<string, string>
        {
            ["XDG_DATA_HOME"] = LaminaProcess.NoImages,
            ["XDG_RUNTIME_DIR"] = _directory,
            ["XDG_STATE_HOME"] = Path.Combine(_directory, "state"),
        };
    }

    public void Dispose()
    {
        foreach (string name in (string[])["box", "one"])
        {
            LaminaProcess.Run(null, _environment, "kill", name);
        }

        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public void A_busy_guest_of_VMware_goes_on_with_its_disk_and_its_files()
    {
        GuestImages.Get(DebianImage.Cloud);
        string disk = Path.Combine(_directory, "disk.raw");
        File.WriteAllBytes(disk, new byte[1 << 20]);
        Run("run", "debian", "--detach", "--name", "box", "--memory", "256M", "--cpus", "2", "--personality", "vmware", "--disk", disk);
        Execute("box", $"echo kept >/tmp/file; echo 0 >/tmp/count; setsid sh -c '{Work}' </dev/null >/dev/null 2>&1 &");
        WaitForRounds("box");
        string snapshot = Path.Combine(_directory, "saved");
        Run("snapshot", "box", snapshot);
        WaitForRounds("box");
        Assert.Equal("", Execute("box", "cat /tmp/bad 2>/dev/null; true"));
        Run("kill", "box");
        Run("restore", snapshot, "--detach", "--verify", "--name", "one");
        Assert.Equal("kept\n", Execute("one", "cat /tmp/file"));
        WaitForRounds("one");
        Assert.Equal("", Execute("one", "cat /tmp/bad 2>/dev/null; true"));
        Assert.Contains("Hypervisor detected: VMware", Execute("one", "dmesg"), StringComparison.Ordinal);
        Assert.Contains("vmw_pvscsi", Execute("one", "readlink /sys/bus/pci/devices/0000:00:1f.0/driver"), StringComparison.Ordinal);
    }

    private void WaitForRounds(string name) => Execute(name, "end=$(($(cat /tmp/count) + 3)); until [ $(cat /tmp/count) -ge $end ]; do sleep 0.1; done");

    private string Execute(string name, string script)
    {
        LaminaResult result = LaminaProcess.Run(null, _environment, "exec", "--wait", "300", name, "--", "sh", "-c", script);
        Assert.True(result.Status == 0, result.Error);
        return result.Text.ReplaceLineEndings("\n");
    }

    private void Run(params string[] arguments)
    {
        LaminaResult result = LaminaProcess.Run(null, _environment, arguments);
        Assert.True(result.Status == 0, result.Error);
    }
}
