using Lamina.Cli.Images.Debian;
using Lamina.Guests.Machines;

namespace Lamina.Guests.Processes;

/// <summary>A Debian guest of two processors that writes and checks its disk without end, and is saved meanwhile and goes on in another machine.</summary>
internal sealed class WorkingGuest : IDisposable
{
    /// <summary>The machine that is saved.</summary>
    public const string Saved = "box";

    /// <summary>The machine that goes on from there.</summary>
    public const string Restored = "one";

    /// <summary>The one that goes on from where its guest had suspended itself.</summary>
    public const string Suspended = "three";

    /// <summary>One that goes on beside another.</summary>
    public const string Copied = "two";

    // Every round writes a piece past the guest's cache, reads it again, and compares.
    private const string Work = """
        n=0
        while :; do
            dd if=/dev/urandom of=/tmp/piece bs=64k count=4 2>/dev/null
            dd if=/tmp/piece of=/dev/DISK bs=64k seek=$((n % 4 * 4)) oflag=direct conv=notrunc 2>>/tmp/log || echo $n cannot be written >>/tmp/bad
            dd if=/dev/DISK of=/tmp/again bs=64k skip=$((n % 4 * 4)) count=4 iflag=direct 2>>/tmp/log || echo $n cannot be read >>/tmp/bad
            cmp /tmp/piece /tmp/again 2>>/tmp/bad || echo $n differs >>/tmp/bad
            n=$((n + 1))
            echo $n >/tmp/count.new
            mv /tmp/count.new /tmp/count
        done
        """;

    private readonly string _directory = Directory.CreateTempSubdirectory("lamina-working").FullName;
    private readonly Dictionary<string, string> _environment;

    public WorkingGuest()
    {
        _environment = new Dictionary<string, string>
        {
            ["XDG_DATA_HOME"] = LaminaProcess.NoImages,
            ["XDG_RUNTIME_DIR"] = _directory,
            ["XDG_STATE_HOME"] = Path.Combine(_directory, "state"),
        };
    }

    /// <summary>Starts it, and its work.</summary>
    public void Start(string personality, params string[] more)
    {
        GuestImages.Get(DebianImage.Cloud);
        string disk = Path.Combine(_directory, "disk.raw");
        File.WriteAllBytes(disk, new byte[1 << 20]);
        Run(["run", "debian", "--detach", "--name", Saved, "--memory", "256M", "--cpus", "2", "--personality", personality, .. more, "--disk", disk]);
        string work = Work.Replace("DISK", personality == "xen" ? "xvda" : "sda", StringComparison.Ordinal);
        Execute(Saved, $"echo kept >/tmp/file; echo 0 >/tmp/count; setsid sh -c '{work}' </dev/null >/dev/null 2>&1 &");
    }

    /// <summary>Saves it at work, ends it, and has the other go on with the work and the files.</summary>
    /// <param name="more">How it is restored.</param>
    public void SaveAndRestore(params string[] more)
    {
        WaitForRounds(Saved);
        string snapshot = Path.Combine(_directory, "saved");
        Run("snapshot", Saved, snapshot);
        CheckWork(Saved);
        Run("kill", Saved);
        Run(["restore", snapshot, "--detach", "--verify", "--name", Restored, .. more]);
        CheckWork(Restored);
    }

    /// <summary>Has a machine save itself after its guest has suspended itself, and another go on from there.</summary>
    public void SaveSuspended(string name)
    {
        string snapshot = Path.Combine(_directory, "suspended");
        Run("snapshot", "--ask-guest", name, snapshot);
        CheckWork(name);
        Run("restore", snapshot, "--detach", "--name", Suspended, "--allow-host-paths");
        CheckWork(Suspended);
    }

    /// <summary>Holds that a machine has its files, that it goes on with its work, and that nothing was wrong with that.</summary>
    public void CheckWork(string name)
    {
        Assert.Equal("kept\n", Execute(name, "cat /tmp/file"));
        WaitForRounds(name);
        Assert.Equal("", Execute(name, "cat /tmp/bad 2>/dev/null; true"));
    }

    /// <summary>What a shell in a machine writes.</summary>
    public string Execute(string name, string script)
    {
        LaminaResult result = LaminaProcess.Run(null, _environment, "exec", "--wait", "300", name, "--", "sh", "-c", script);
        Assert.True(result.Status == 0, result.Error);
        return result.Text.ReplaceLineEndings("\n");
    }

    /// <summary>Runs a command of lamina's.</summary>
    public void Run(params string[] arguments)
    {
        LaminaResult result = LaminaProcess.Run(null, _environment, arguments);
        Assert.True(result.Status == 0, result.Error);
    }

    public void Dispose()
    {
        foreach (string name in (string[])[Saved, Restored, Copied, Suspended])
        {
            LaminaProcess.Run(null, _environment, "kill", name);
        }

        Directory.Delete(_directory, recursive: true);
    }

    private void WaitForRounds(string name) => Execute(name, "end=$(($(cat /tmp/count) + 3)); until [ $(cat /tmp/count) -ge $end ]; do sleep 0.1; done");
}
