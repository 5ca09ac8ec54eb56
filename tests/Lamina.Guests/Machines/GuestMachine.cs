using System.Text;
using System.Text.RegularExpressions;
using Lamina.Boot;
using Lamina.Boot.Initramfs;
using Lamina.Cli.Images;
using Lamina.Cli.Images.Debian;
using Lamina.Cli.Images.Packages;
using Lamina.Cli.Running;
using Lamina.SoftCpu;
using Lamina.Vmm;
using Lamina.Vmm.Serial;
using Lamina.Vmm.Snapshots;

namespace Lamina.Guests.Machines;

/// <summary>A running machine whose console is read and typed into by a test.</summary>
internal sealed class GuestMachine : IDisposable
{
    private const string Prompt = "root@guest:~# ";
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(6);
    private readonly MemoryCharacterOutput _console = new();
    private VirtualMachine _machine;
    private int _seen;

    private GuestMachine(BootSource boot, string accelerator, int processors, ulong memory, Func<MachineSettings, MachineSettings>? change = null, bool hasConsole = false)
    {
        MachineSettings settings = new()
        {
            Accelerator = AcceleratorCatalog.Create(accelerator),
            Boot = boot,
            ProcessorCount = processors,
            MemorySize = memory,
            Serial0 = _console,
            Console = hasConsole ? _console : null,
            OnReboot = RebootAction.Exit,
        };
        _machine = new VirtualMachine(change == null ? settings : change(settings));
        _machine.Start();
    }

    /// <summary>The machine.</summary>
    public VirtualMachine Machine => _machine;

    /// <summary>Everything on the console so far.</summary>
    public string Console => _console.Text;

    /// <summary>Boots an image of Debian's to a shell.</summary>
    public static GuestMachine StartDebian(
        DebianImage image,
        string accelerator,
        int processors = 1,
        ulong memory = 512UL << 20,
        string append = "",
        TranslatorOptions? translator = null)
    {
        CachedPackageSet files = GuestImages.Get(image);
        BootSource boot = image.CreateBoot(files, new ImageSession { Mode = SessionMode.Terminal, HostName = "guest", Columns = 200 }, null, quiet: false, append);
        return new GuestMachine(boot, accelerator, processors, memory, translator == null ? null : s => s with { Accelerator = new TranslatorAccelerator(translator) });
    }

    /// <summary>Boots the image to a shell, with devices that it has drivers for.</summary>
    public static GuestMachine StartDebian(string accelerator, int processors, GuestHardware hardware, Func<MachineSettings, MachineSettings> change, DebianImage? image = null)
    {
        image ??= DebianImage.Cloud;
        CachedPackageSet files = GuestImages.Get(image);
        ImageSession session = new() { Mode = SessionMode.Terminal, HostName = "guest", Columns = 200, Hardware = hardware };
        return new GuestMachine(image.CreateBoot(files, session, null, quiet: false, ""), accelerator, processors, 512UL << 20, change, hardware.HasFlag(GuestHardware.Console));
    }

    /// <summary>Boots Debian's cloud kernel with a program as its first process.</summary>
    public static GuestMachine StartProgram(byte[] program, string accelerator, int processors, TranslatorOptions? translator = null)
    {
        using MemoryStream archive = new();
        using (CpioWriter writer = new(archive))
        {
            writer.AddDirectory("dev");
            writer.AddCharacterDevice("dev/console", 5, 1);
            writer.AddFile("init", program, 0b111_101_101);
        }

        BootSource boot = new()
        {
            Kernel = BootImage.FromFile(GuestImages.Get(DebianImage.Cloud).GetPath(DebianImage.Kernel)),
            Initrd = BootImage.FromBytes(archive.ToArray(), "the program's initramfs"),

            // What the kernel says of the program's faults would come in the middle of its lines.
            CommandLine = "console=ttyS0,115200 quiet panic=-1 sysctl.debug.exception-trace=0",
        };
        return new GuestMachine(boot, accelerator, processors, 256UL << 20, translator == null ? null : s => s with { Accelerator = new TranslatorAccelerator(translator) });
    }

    /// <summary>Boots a kernel.</summary>
    public static GuestMachine StartKernel(string path, string commandLine, string accelerator, int processors = 1, ulong memory = 64UL << 20)
    {
        return new GuestMachine(new BootSource { Kernel = BootImage.FromFile(path), CommandLine = commandLine }, accelerator, processors, memory);
    }

    /// <summary>Saves the machine, ends it, and has another go on in its place, with the disks of the snapshot.</summary>
    /// <param name="directory">Where the snapshot is to be.</param>
    /// <param name="accelerator">Who executes it then.</param>
    /// <param name="options">How it is saved.</param>
    public void GoOn(string directory, string accelerator, SnapshotOptions? options = null)
    {
        _machine.Snapshot(directory, options);
        _machine.Dispose();
        using MachineSnapshot snapshot = MachineSnapshot.Open(directory);
        _machine = new VirtualMachine(SnapshotSettings.Create(snapshot, AcceleratorCatalog.Create(accelerator), _console) with { Serial0 = _console });
        _machine.Start();
    }

    /// <summary>Types into the console.</summary>
    public void Type(string text) => (_machine.Console ?? _machine.Serial0).Write(Encoding.UTF8.GetBytes(text));

    /// <summary>Waits for a pattern in what has not been waited for yet.</summary>
    /// <returns>What came up to and with it.</returns>
    public string Expect(string pattern)
    {
        Regex regex = new(pattern, RegexOptions.CultureInvariant | RegexOptions.Multiline);
        using ManualResetEventSlim changed = new();
        Action wake = changed.Set;
        _console.Written += wake;
        _machine.Completion.ContinueWith(_ => wake(), TaskScheduler.Default);
        try
        {
            long end = Environment.TickCount64 + (long)Patience.TotalMilliseconds;
            while (true)
            {
                changed.Reset();
                bool ended = _machine.Completion.IsCompleted;
                string fresh = Console[_seen..];
                if (regex.Match(fresh) is { Success: true } match)
                {
                    _seen += match.Index + match.Length;
                    return fresh[..(match.Index + match.Length)];
                }

                long left = end - Environment.TickCount64;
                if (ended || left <= 0)
                {
                    string why = ended ? $"the machine has ended ({_machine.WaitForEnd()})" : $"it did not come within {Patience}";
                    Assert.Fail($"Waiting for '{pattern}': {why}. The console so far:\n{Console}");
                    return "";
                }

                changed.Wait(TimeSpan.FromMilliseconds(Math.Min(left, 1000)), TestContext.Current.CancellationToken);
            }
        }
        finally
        {
            _console.Written -= wake;
        }
    }

    /// <summary>Waits for the shell's prompt.</summary>
    /// <returns>What came before it.</returns>
    public string ExpectPrompt() => Expect(Prompt)[..^Prompt.Length];

    /// <summary>Types a command at the shell's prompt and waits for the next.</summary>
    /// <returns>What it wrote, without the line that echoes the command.</returns>
    public string Run(string command)
    {
        Type($"{command}\r");
        string text = ExpectPrompt().ReplaceLineEndings("\n");
        return text[(text.IndexOf('\n', StringComparison.Ordinal) + 1)..].TrimEnd('\n');
    }

    /// <summary>Writes a small program into the guest, through the console.</summary>
    public void Install(string path, byte[] program)
    {
        // A terminal's line is at most 4095 bytes long.
        string text = Convert.ToBase64String(program);
        string[] lines = [.. text.Chunk(2000).Select(c => new string(c))];
        Run($"rm -f {path} {path}.text");
        foreach (string line in lines)
        {
            Run($"echo {line} >>{path}.text");
        }

        Assert.Equal("", Run($"base64 -d {path}.text >{path} && chmod +x {path}"));
    }

    /// <summary>Waits for the end of the machine.</summary>
    public MachineResult WaitForEnd()
    {
        Assert.True(_machine.Completion.Wait(Patience), $"The machine did not end. The console so far:\n{Console}");
        return _machine.WaitForEnd();
    }

    /// <inheritdoc/>
    public void Dispose() => _machine.Dispose();
}
