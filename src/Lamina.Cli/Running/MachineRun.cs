using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using Lamina.Boot;
using Lamina.Cli.Arguments;
using Lamina.Cli.Control;
using Lamina.Cli.Images;
using Lamina.Cli.Images.Debian;
using Lamina.Cli.Images.Packages;
using Lamina.Cli.Images.Systems;
using Lamina.Cli.Inspection;
using Lamina.Cli.Isolation;
using Lamina.Cli.Output;
using Lamina.Cli.Tools;
using Lamina.Interop;
using Lamina.Interop.Processes;
using Lamina.Interop.Terminals;
using Lamina.Kvm;
using Lamina.Machine.Backends;
using Lamina.Machine.Processors;
using Lamina.SoftCpu;
using Lamina.Vmm;
using Lamina.Vmm.Serial;

namespace Lamina.Cli.Running;

/// <summary><c>lamina run</c>: makes a machine, ties it to this process's standard streams, and waits for its end.</summary>
internal sealed class MachineRun(RunOptions options)
{
    private static readonly TimeSpan StuckTimeout = TimeSpan.FromMilliseconds(500);
    private static readonly TimeSpan FlushTimeout = TimeSpan.FromSeconds(2);
    private const string NullDevice = "/dev/null";
    private readonly bool _inputIsTerminal = !options.IsDetachedWorker && TerminalMode.IsTerminal(Descriptor.StandardInput);
    private readonly bool _outputIsTerminal = TerminalMode.IsTerminal(Descriptor.StandardOutput);
    private readonly Latch _ended = new();
    private readonly ConsoleLog _log = new();
    private readonly SandboxProbe? _probe = options.SandboxProbe == null ? null : new SandboxProbe(Console.Error);
    private readonly TemporaryFiles _temporary = new(() => Path.Combine(CacheLocation.Find(Environment.GetEnvironmentVariable), "overlays"));
    private IReadOnlyList<DiskSettings> _disks = options.Disks;
    private IReadOnlyList<NetworkSettings> _networks = options.Networks;
    private SocketSettings? _sockets = options.Sockets;
    private RestoredMachine? _restored;
    private bool _endsOrderly;
    private bool _isInMemory;
    private volatile string? _panic;
    private int _commandStatus = -1;

    private bool UsesStandardStreams => !options.IsDetachedWorker && options.Serial.Kind is SerialTargetKind.StandardStreams or SerialTargetKind.Default;

    private string Source => options.Image ?? options.Kernel ?? _restored?.Source ?? "";

    private bool RunsCommand => options.Command.Count > 0;

    private GuestHardware Hardware =>
        (_disks.Count > 0 ? GuestHardware.Disk : 0) | (_networks.Count > 0 ? GuestHardware.Network : 0)
        | (options.Shares.Count > 0 ? GuestHardware.Share : 0) | (_sockets != null ? GuestHardware.Socket : 0)
        | (options.UsesVirtioConsole ? GuestHardware.Console : 0) | (options.Balloon != null ? GuestHardware.Balloon : 0) | (options.MaximumMemory != null ? GuestHardware.Balloon | GuestHardware.HotAdd : 0)
        | options.Personality switch
        {
            PersonalityKind.VMware => GuestHardware.VMware,
            PersonalityKind.HyperV => GuestHardware.HyperV,
            PersonalityKind.Xen => GuestHardware.Xen,
            _ => GuestHardware.None,
        }
        | (options.Screen != null ? GuestHardware.Screen : 0) | (options.Transport == VirtioTransport.Mmio ? GuestHardware.MappedDevices : 0);

    // The usual size where there is no window, or one that does not say.
    private static TerminalSize WindowSize =>
        TerminalMode.TryGetSize(Descriptor.StandardInput, out TerminalSize size) && size is { Rows: > 0, Columns: > 0 } ? size : new TerminalSize(80, 24);

    private SessionMode Mode => RunsCommand ? SessionMode.Command : _inputIsTerminal || options.IsDetachedWorker ? SessionMode.Terminal : SessionMode.Typed;

    /// <summary>Runs the machine to its end.</summary>
    /// <returns>The exit status.</returns>
    /// <exception cref="LaminaException">It cannot be made or started.</exception>
    public int Execute()
    {
        using SignalGuard signals = new();
        using RestoredMachine? restored = options.Snapshot == null ? null : RestoredMachine.Open(options.Snapshot, options.VerifiesSnapshot);
        _restored = restored;
        string stem = options.Image?.Replace(':', '-') ?? restored?.SavedName ?? "machine";
        using WorkerControl control = WorkerControl.Enter(options.Name, stem, options.IsDetachedWorker);
        try
        {
            // Images bring an agent, which is reached that way.
            _sockets ??= options.Image == null && restored == null ? null : control.CreateSockets();
            if (!options.AllowsHostPaths)
            {
                restored?.CheckHostResources(_sockets != null);
            }

            if (options.UserData != null)
            {
                _disks = [.. _disks, CloudInitDisk.Create(options.UserData, options.Name ?? "lamina", _temporary)];
            }

            BootSource? boot = restored == null ? CreateBoot(signals.Token) : null;
            return Run(boot, signals, control);
        }
        catch (OperationCanceledException) when (signals.Status is { } status)
        {
            return status;
        }
        catch (Exception e) when (e is MachineConfigurationException or BootException)
        {
            throw new LaminaException(e.Message, e);
        }
        finally
        {
            _temporary.Remove();
        }
    }

    private BootSource CreateBoot(CancellationToken cancellation)
    {
        if (options.Image == null)
        {
            return new BootSource
            {
                Kernel = BootImage.FromFile(options.Kernel!),
                Initrd = options.Initrd == null ? null : BootImage.FromFile(options.Initrd),
                CommandLine = options.Append,
            };
        }

        ToolRunner tools = new();
        bool quiet = RunsCommand && !options.Verbose && options.Serial.Kind == SerialTargetKind.Default;
        if (SystemImageName.TryParse(options.Image, out SystemImageName name) && SystemImageStore.Open() is var store && store.Find(name) is { } system)
        {
            return PrepareSystem(system, store, tools, quiet);
        }

        DebianImage image = ImageCatalog.Get(options.Image);
        CachedPackageSet files;
        using (ProgressDisplay progress = new())
        {
            PackageCache cache = new(CacheLocation.Find(Environment.GetEnvironmentVariable), tools, progress);
            files = image.Fetch(cache, tools, cancellation);
        }

        if (options.Persist)
        {
            throw new LaminaException($"the image '{options.Image}' is in memory alone, and --persist has nothing to keep. Build one with a disk first: lamina image build debian");
        }

        _isInMemory = true;
        return image.CreateBoot(files, CreateSession(), options.Kernel, quiet, options.Append);
    }

    private BootSource PrepareSystem(SystemImage system, SystemImageStore store, ToolRunner tools, bool quiet)
    {
        if (options.HasDefaultNetwork)
        {
            if (tools.Exists("passt"))
            {
                _networks = [new NetworkSettings()];
            }
            else
            {
                Messages.Write("the machine has no network: passt is not installed. On Debian and its relatives: apt-get install passt");
            }
        }

        // What is thrown away need not be left clean.
        _endsOrderly = options.Persist || options.Disks.Any(d => !d.IsReadOnly);
        PreparedSystem prepared = PreparedSystem.Create(system, store, CreateSession(), options, quiet, _temporary);
        _disks = [prepared.Disk, .. _disks];
        return prepared.Boot;
    }

    private ImageSession CreateSession()
    {
        return new ImageSession
        {
            Mode = Mode,
            Hardware = Hardware,
            Shares = options.Shares,
            Command = options.Command,
            HostName = options.Name ?? "lamina",
            Rows = WindowSize.Rows,
            Columns = WindowSize.Columns,
            TerminalType = Environment.GetEnvironmentVariable("TERM") ?? "vt100",
        };
    }

    private int Run(BootSource? boot, SignalGuard signals, WorkerControl control)
    {
        MachineLog? log = options.IsDetachedWorker ? MachineLog.Create(control.Name) : null;
        using DescriptorCharacterOutput standardOutput = DescriptorCharacterOutput.ForStandardOutput();
        using DescriptorCharacterOutput standardError = DescriptorCharacterOutput.ForDescriptor(Descriptor.StandardError);
        using DescriptorCharacterOutput? file = options.Serial.Kind == SerialTargetKind.File ? DescriptorCharacterOutput.ForFile(options.Serial.Path!) : null;
        WatchedOutput watchedOutput = new(standardOutput);
        WatchedOutput? watchedFile = file == null ? null : new WatchedOutput(file);
        bool raw = _inputIsTerminal && UsesStandardStreams && !RunsCommand;
        ICharacterOutput output = log == null ? watchedOutput : log.Watch(watchedOutput);
        ConsoleOutput console = new(output, raw && _outputIsTerminal);
        ICharacterOutput serial = new ConsoleTap(ChooseSerial(console, standardError, watchedFile), control.Console);
        PanicWatch? watch = options.Image == null ? null : new PanicWatch(serial);
        ControlLink? link = options.Image == null ? null : new ControlLink(output, standardError);
        if (watch != null)
        {
            serial = watch;
        }

        if (options.UsesVirtioConsole)
        {
            // Two devices write to it, each on its own.
            serial = new SharedOutput(serial);
        }

        MachineResult result;
        ProcessorCounters counters;
        Sandbox sandbox = CreateSandbox(control, log != null);
        using TranslationWatch inspection = TranslationWatch.Create(options.Inspection, options.Verbose);
        using (VirtualMachine machine = new(CreateSettings(boot, control.Name, serial, link, inspection.Options) with { ThreadStarted = sandbox.OnThread }))
        {
            _temporary.Remove();
            Connect(machine, watch, link);
            SessionLink session = new(machine, link, RunsCommand, _restored is { HasShell: true }, _isInMemory);
            machine.Noticed += Messages.Write;
            WarnOfKvm(machine);
            watchedOutput.Failed += machine.Quit;
            if (watchedFile != null)
            {
                watchedFile.Failed += machine.Quit;
            }

            using PosixSignalRegistration resized = PosixSignalRegistration.Create(PosixSignal.SIGWINCH, _ => session.SendSize(WindowSize));
            Action quit = () => Quit(machine, standardOutput, standardError);
            using CancellationTokenRegistration cancelled = signals.Token.Register(quit);
            machine.ResizeConsole(WindowSize.Columns, WindowSize.Rows);
            using RawTerminal? terminal = raw ? RawTerminal.TryEnter() : null;
            StartInput(machine, link, session, quit);
            if (options.Verbose)
            {
                Describe(machine);
            }

            control.Serve(new ControlledMachine
            {
                Machine = machine,
                Name = control.Name,
                Source = Source,
                IsDetached = options.IsDetachedWorker,
                Console = control.Console,
                Resize = (columns, rows) => session.SendSize(new TerminalSize(columns, rows)),
                AskToPowerOff = session.AskToPowerOff,
                CreateLabels = () => RestoredMachine.CreateLabels(Source, session.HasShell),
                Translations = inspection.Counts,
                Sandbox = sandbox,
                Quit = quit,
            });
            if (log != null)
            {
                Detach(control.Name, log);
            }

            Confine(sandbox);
            machine.Start();
            if (options.Verbose && _restored != null)
            {
                Messages.Write("the machine goes on");
            }

            result = machine.WaitForEnd();
            control.Console.End();
            _ended.Set();
            counters = machine.Counters;
            if (options.Verbose && machine.FirstEntry != 0)
            {
                // Of the clock that programs which measure this read, too.
                Messages.Write(string.Create(CultureInfo.InvariantCulture, $"the guest's first instruction came at {machine.FirstEntry / (double)Stopwatch.Frequency:F6} s of the host's monotonic clock"));
            }

            while (!signals.Token.IsCancellationRequested && !(standardOutput.Flush(FlushTimeout) && standardError.Flush(FlushTimeout)))
            {
                // Whoever reads our output is slow; the output is not to be lost.
            }
        }

        if (_outputIsTerminal && !console.AtLineStart)
        {
            Console.Error.WriteLine();
        }

        inspection.WriteLockstep(Console.Error);
        if (RunOutcome.ForFailedOutput(standardOutput.Failure, "standard output") is { } broken)
        {
            return Report(broken);
        }

        if (RunOutcome.ForFailedOutput(file?.Failure, $"'{options.Serial.Path}'") is { } full)
        {
            return Report(full);
        }

        if (options.Verbose && counters.Exits != 0)
        {
            Messages.Write(string.Create(CultureInfo.InvariantCulture, $"KVM left the guest {counters.Exits} times, {counters.AssistedInstructions} of them for an instruction that it refused"));
        }

        if (inspection.Summary is { } summary)
        {
            Messages.Write($"translated {summary}");
        }

        if (options.Verbose && result.Details != null)
        {
            Console.Error.WriteLine(result.Details);
        }

        return Report(RunOutcome.Decide(
            result,
            signals.Status,
            _commandStatus >= 0 ? _commandStatus : null,
            _panic,
            link is { IsReady: false }));
    }

    private Sandbox CreateSandbox(WorkerControl control, bool hasLog)
    {
        string?[] sockets = [control.Folder, _sockets == null ? null : Path.GetDirectoryName(Path.GetFullPath(_sockets.Path))];
        SandboxNeeds needs = new()
        {
            Shares = _restored?.Shares ?? options.Shares,
            ConnectsToHost = options.Sockets != null,
            SocketFolders = [.. sockets.OfType<string>()],
            LogFolder = hasLog ? MachineLog.FindFolder(Environment.GetEnvironmentVariable) : null,
        };
        Sandbox sandbox = new(needs) { ThreadEntered = _probe == null ? null : _probe.Try };
        if (options.IsSandboxed)
        {
            sandbox.Prepare();
        }

        return sandbox;
    }

    // All is open that has a path, and no thread has run a guest's instruction.
    private void Confine(Sandbox sandbox)
    {
        if (!options.IsSandboxed)
        {
            return;
        }

        sandbox.Enter();
        if (options.Verbose)
        {
            Messages.Write(string.Create(CultureInfo.InvariantCulture, $"the machine's process is confined by {sandbox.Describe()}; that took {sandbox.Duration.TotalMilliseconds:F1} ms"));
            foreach (string missing in sandbox.Missing)
            {
                Messages.Write($"it is not confined by {missing}");
            }
        }

        if (_probe != null)
        {
            _probe.Try("Main");
            Task.Run(() => _probe.Try("Pool")).GetAwaiter().GetResult();
            if (Enum.TryParse<Interop.Isolation.SystemCall>(options.SandboxProbe, out _))
            {
                SandboxProbe.Die(options.SandboxProbe!);
            }
        }
    }

    // What a guest of another hypervisor has under KVM only if the host's administrator or kernel gives it.
    private static void WarnOfKvm(VirtualMachine machine)
    {
        if (machine.Settings.Accelerator is not KvmAccelerator kvm)
        {
            return;
        }

        if (machine.Settings.Personality == PersonalityKind.Xen && !kvm.HandsOverHypercalls)
        {
            Messages.Write("this kernel's KVM answers VMCALL itself (it lacks KVM_CAP_XEN_HVM): guests that call Xen so and not by its page, as Linux has done since the end of 2024, need --accel translator");
        }
        else if (machine.Settings.Personality == PersonalityKind.VMware && !KvmHost.OpensBackdoor())
        {
            Messages.Write("open-vm-tools does not reach its host under KVM, because the module kvm has enable_vmware_backdoor off; the guest's kernel does");
        }
    }

    private static void Describe(VirtualMachine machine)
    {
        string controllers = machine.Settings.Accelerator is not KvmAccelerator kvm ? ""
            : kvm.Controllers switch
            {
                KvmControllers.On => ", which has all interrupt controllers",
                KvmControllers.Split => ", which has the local APICs",
                _ => ", with the interrupt controllers in Lamina",
            };
        Messages.Write($"the machine runs under {machine.AcceleratorName}{controllers}");
        if (machine.WithheldFeatures.Count > 0)
        {
            Messages.Write($"of the CPU model '{machine.Settings.CpuModel}' {machine.AcceleratorName} cannot give {string.Join(", ", machine.WithheldFeatures)}");
        }
    }

    private MachineSettings CreateSettings(BootSource? boot, string name, ICharacterOutput serial, ControlLink? link, TranslatorOptions translator)
    {
        if (_restored != null)
        {
            MachineSettings saved = _restored.CreateSettings(options.RestoreAccelerator, serial, _temporary, options.RestorePublish, translator);

            // The guest keeps its address; the path on the host is this machine's own.
            SocketSettings? sockets = saved.Sockets is { } there && _sockets != null ? _sockets with { Address = there.Address, AreVirtio = there.AreVirtio } : saved.Sockets;
            return saved with { Name = name, Serial0 = serial, Sockets = sockets, StepsClock = options.StepsClock };
        }

        return new MachineSettings
        {
            Name = name,
            MemorySize = options.MaximumMemory ?? options.MemorySize,
            StartMemorySize = options.MaximumMemory == null ? null : options.MemorySize,
            ProcessorCount = options.ProcessorCount,
            CpuModel = options.CpuModel,
            Accelerator = AcceleratorCatalog.Create(options.Accelerator, translator, new KvmOptions { Controllers = options.KvmControllers, Clock = options.KvmClock }),
            Boot = boot,
            Serial0 = serial,
            Serial1 = link != null ? link : NullCharacterOutput.Instance,
            Disks = _disks,
            Networks = _networks,
            Shares = [.. options.Shares.Select((s, i) => new ShareSettings { Path = s.Folder, Tag = ShareArgument.GetTag(i), IsReadOnly = s.IsReadOnly })],
            Console = options.UsesVirtioConsole ? serial : null,
            Balloon = options.Balloon == null && options.MaximumMemory == null ? null
                : new BalloonSettings { Target = (options.Balloon ?? 0) + ((options.MaximumMemory ?? options.MemorySize) - options.MemorySize) },
            Transport = options.Transport,
            Personality = options.Personality,
            Generation = options.Generation,
            Sockets = _sockets,
            Screen = options.Screen,
            HasTestDevices = options.HasTestDevices,
            OnReboot = options.OnReboot,
        };
    }

    private ICharacterOutput ChooseSerial(ConsoleOutput console, DescriptorCharacterOutput standardError, WatchedOutput? file)
    {
        return options.Serial.Kind switch
        {
            SerialTargetKind.File => file!,
            SerialTargetKind.Null => NullCharacterOutput.Instance,
            _ when !RunsCommand => console,
            // A command's own output has standard output for itself.
            SerialTargetKind.Default when !options.Verbose => _log,
            _ => new ConsoleOutput(standardError, raw: false),
        };
    }

    private void Connect(VirtualMachine machine, PanicWatch? watch, ControlLink? link)
    {
        if (watch != null && link != null)
        {
            link.Ready += watch.Stop;
            link.Ended += status =>
            {
                _commandStatus = status;
                if (!_endsOrderly)
                {
                    machine.Quit();
                }
            };
            watch.Panicked += reason =>
            {
                _panic = reason;
                machine.Quit();
            };
        }
    }

    private void StartInput(VirtualMachine machine, ControlLink? link, SessionLink session, Action quit)
    {
        StandardInput source = new();
        SerialInputPort port = new(machine.Console ?? machine.Serial0);
        if (RunsCommand)
        {
            CommandInput input = session.CommandInput = new CommandInput(source, new SerialInputPort(machine.Serial1));
            link!.Ready += input.OnTaken;
            link.Taken += input.OnTaken;
            StartThread(input.Run);
        }
        else if (_inputIsTerminal && UsesStandardStreams)
        {
            TerminalInput input = new(source, port, quit, ShowKeys, new EscapeKeys());
            StartWhenReady(link, input.OnReady);
            StartThread(input.Run);
        }
        else if (!_inputIsTerminal && !options.IsDetachedWorker)
        {
            TypedInput input = new(source, port, _ended);
            StartWhenReady(link, input.OnReady);
            StartThread(link == null ? input.RunForKernel : input.RunForShell);
        }
    }

    // A processor may be waiting for room in an output whose reader is stuck; closing the output frees it.
    private static void Quit(VirtualMachine machine, params DescriptorCharacterOutput[] outputs)
    {
        machine.Quit();
        Task.Run(() =>
        {
            if (!machine.Completion.Wait(StuckTimeout))
            {
                Array.ForEach(outputs, o => o.Dispose());
            }
        });
    }

    private static void StartWhenReady(ControlLink? link, Action start)
    {
        if (link == null)
        {
            start();
        }
        else
        {
            link.Ready += start;
        }
    }

    private static void StartThread(Action run)
    {
        // Reading standard input cannot be interrupted, so the process ends without waiting for it.
        new Thread(() => run()) { IsBackground = true, Name = "input" }.Start();
    }

    private static void ShowKeys()
    {
        Messages.Write("keys");
        foreach (string line in EscapeKeys.Help)
        {
            Messages.Write($"  {line}");
        }
    }

    // Whoever started us waits for the name, and the terminal is left to it.
    private static void Detach(string name, MachineLog log)
    {
        DetachedLauncher.SayReady(name);
        OwnProcess.BeginSession();
        OwnProcess.Redirect(Descriptor.StandardInput, NullDevice);
        log.TakeStandardStreams();
    }

    private int Report(RunOutcome outcome)
    {
        if (outcome.Status == ExitStatus.GuestCrashed && outcome.Message != null && RunsCommand)
        {
            foreach (string line in _log.GetLastLines())
            {
                Console.Error.WriteLine(line);
            }
        }

        if (outcome.Message != null)
        {
            Messages.Write(outcome.Message);
        }

        return outcome.Status;
    }
}
