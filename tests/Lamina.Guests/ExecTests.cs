using Lamina.Cli.Images.Debian;
using Lamina.Guests.Machines;
using Lamina.Guests.Processes;

namespace Lamina.Guests;

/// <summary><c>lamina exec</c> and <c>lamina device</c> with an image that runs detached.</summary>
public sealed class ExecTests : IDisposable
{
    private const int Mebibyte = 1 << 20;
    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-exec").FullName;
    private readonly Dictionary<string, string> _environment;

    public ExecTests()
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
        LaminaProcess.Run(null, _environment, "kill", "box");
        Directory.Delete(_directory, recursive: true);
    }

    [Fact]
    public void Commands_run_in_a_detached_machine_and_its_devices_come_and_go()
    {
        GuestImages.Get(DebianImage.Cloud);
        Run(0, null, "run", "debian", "--detach", "--name", "box", "--disk", MakeDisk("first"));
        LaminaResult result = Run(7, "to the guest"u8.ToArray(), "exec", "box", "--env", "WORD=x y", "--workdir", "/tmp", "--", "sh", "-c", "cat; echo \" $WORD $PWD $1\"; echo oops >&2; exit 7", "sh", "*");
        Assert.Equal("to the guest x y /tmp *\n", result.Text);
        Assert.Equal("oops\n", result.Error);
        Assert.StartsWith("/dev/pts/", Run(0, null, "exec", "-t", "box", "--", "tty").Text, StringComparison.Ordinal);
        Assert.Contains("there is no command 'nothing' in the guest", Run(127, null, "exec", "box", "--", "nothing").Error, StringComparison.Ordinal);
        Assert.Contains("there is no command", Run(125, null, "exec", "box").Error, StringComparison.Ordinal);
        Assert.Contains("there is no machine 'bax'", Run(125, null, "exec", "bax", "--", "true").Error, StringComparison.Ordinal);

        Assert.StartsWith("disk0    slot 1", Run(0, null, "device", "list", "box").Text, StringComparison.Ordinal);
        string second = MakeDisk("second");
        Assert.StartsWith("disk1 ", Run(0, null, "device", "add", "box", "--disk", $"{second},serial=new").Text, StringComparison.Ordinal);
        Assert.Contains(second, Run(0, null, "status", "box").Text, StringComparison.Ordinal);
        Assert.Contains("in use", Run(125, null, "device", "add", "box", "--disk", second).Error, StringComparison.Ordinal);
        Assert.Equal("new", Run(0, null, "exec", "box", "--", "sh", "-c", "until [ -e /sys/block/vdb ]; do sleep 0.1; done; cat /sys/block/vdb/serial").Text);
        Run(0, null, "device", "resize", "box", "disk1", "4M");
        Run(0, null, "exec", "box", "--", "sh", "-c", $"until [ $(cat /sys/block/vdb/size) = {4 * Mebibyte / 512} ]; do sleep 0.1; done");
        Assert.EndsWith("iops=20,bps=2097152,burst=50", Run(0, null, "device", "limit", "box", "disk1", "iops=20,bps=2M,burst=50").Text.TrimEnd(), StringComparison.Ordinal);
        Assert.Contains("iops=20,", Run(0, null, "device", "list", "box").Text, StringComparison.Ordinal);
        Assert.Contains("no device 'disk2'; it has disk0, disk1", Run(125, null, "device", "limit", "box", "disk2", "iops=1").Error, StringComparison.Ordinal);
        Assert.Contains("Accepted: iops=N", Run(125, null, "device", "limit", "box", "disk1", "pps=1").Error, StringComparison.Ordinal);
        Assert.DoesNotContain("=", Run(0, null, "device", "limit", "box", "disk1", "none").Text, StringComparison.Ordinal);
        Run(0, null, "device", "remove", "box", "disk1");
        Assert.DoesNotContain("disk1", Run(0, null, "device", "list", "box").Text, StringComparison.Ordinal);
        Assert.DoesNotContain(second, Run(0, null, "status", "box").Text, StringComparison.Ordinal);
        Assert.Contains("no device 'disk1'", Run(125, null, "device", "remove", "box", "disk1").Error, StringComparison.Ordinal);
        Run(0, null, "stop", "box");
        Assert.Contains("there is no machine 'box'", Run(125, null, "exec", "box", "--", "true").Error, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void A_machine_that_runs_a_command_stops_when_it_is_told_to(bool isReady)
    {
        GuestImages.Get(DebianImage.Cloud);
        Run(0, null, "run", "debian", "--detach", "--name", "box", "--", "sleep", "100000");
        if (isReady)
        {
            Run(0, null, "exec", "--wait", "300", "box", "--", "sh", "-c", "until pidof sleep; do sleep 0.1; done");
        }

        Assert.Equal("", Run(0, null, "stop", "box", "--timeout", "300").Error);
        Assert.Contains("there is no machine 'box'", Run(125, null, "stop", "box").Error, StringComparison.Ordinal);
    }

    private LaminaResult Run(int status, byte[]? input, params string[] arguments)
    {
        LaminaResult result = LaminaProcess.Run(input, _environment, arguments);
        Assert.True(result.Status == status, $"lamina {string.Join(' ', arguments)} ended with {result.Status}, not {status}:\n{result.Text}\n{result.Error}");
        return result;
    }

    private string MakeDisk(string name)
    {
        string path = Path.Combine(_directory, name + ".img");
        File.WriteAllBytes(path, new byte[Mebibyte]);
        return path;
    }
}
