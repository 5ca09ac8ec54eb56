using System.CommandLine;
using System.Globalization;
using Lamina.Boot.Cpu;
using Lamina.Boot.Layout;
using Lamina.Cli.Control;
using Lamina.Cli.Images;
using Lamina.Kvm;
using Lamina.Management.Machines;
using Lamina.Vmm;

namespace Lamina.Cli.Arguments;

/// <summary>The options and arguments of <c>lamina run</c>, and how they become <see cref="RunOptions"/>.</summary>
internal sealed class RunCommandSyntax
{
    private static readonly string[] Consoles = ["serial", "virtio"];
    private static readonly string[] Transports = ["pci", "mmio"];
    private static readonly string[] RebootActions = ["restart", "exit"];
    private static readonly string[] Sandboxes = ["on", "off"];

    // In the order of the enumeration.
    private static readonly string[] Controllers = ["auto", "off", "split", "on"];

    private readonly Option<string> _kernel = new("--kernel") { HelpName = "FILE", Description = "Boot this kernel (bzImage, ELF, Multiboot or ROM) instead of the image's." };
    private readonly Option<string> _initrd = new("--initrd") { HelpName = "FILE", Description = "Initial RAM disk for the kernel given with --kernel." };
    private readonly Option<string> _append = new("--append") { HelpName = "TEXT", Description = "Add TEXT to the kernel's command line." };
    private readonly Option<string> _memory = new("--memory", "-m") { HelpName = "SIZE", Description = "RAM, such as 512M or 2G. [default: 512M]" };
    private readonly Option<string> _maximumMemory = new("--max-memory") { HelpName = "SIZE", Description = "RAM that the guest can get while it runs, by 'lamina memory', for --personality hyperv: that of the start, and pieces of 128M." };
    private readonly Option<string> _cpus = new("--cpus") { HelpName = "N", Description = "Virtual processors, 1 to 64. [default: 1]" };
    private readonly Option<string> _accel = new("--accel") { HelpName = "NAME", Description = "auto, kvm, translator or interpreter. [default: auto, the fastest here]" };
    private readonly Option<string> _irqchip = new("--kernel-irqchip") { HelpName = "WHICH", Description = "Interrupt controllers in KVM: on, split (the local APICs), off or auto. [default: auto]" };
    private readonly Option<bool> _kvmClock = new("--kvmclock") { Description = "Offer the guest KVM's paravirtual clock. It then stays under KVM." };
    private readonly Option<bool> _lockstep = new("--lockstep") { Description = "Compare each translated block with the interpreter, often." };
    private readonly Option<bool> _lockstepAll = new("--lockstep-all") { Description = "Compare it each time it is executed. Slow." };
    private readonly Option<bool> _perfMap = new("--perf-map") { Description = "Name translated blocks in /tmp/perf-PID.map, for perf." };
    private readonly Option<string> _dumpBlocks = new("--dump-blocks") { HelpName = "FILE", Description = "Write each translated block to FILE, guest and host code." };
    private readonly Option<bool> _strictCode = new("--strict-code") { Description = "Map the translator's code twice, so that no page is both writable and executable." };
    private readonly Option<string> _cpu = new("--cpu") { HelpName = "MODEL", Description = $"CPU model: {string.Join(", ", CpuModel.Names)}. [default: max]" };
    private readonly Option<string> _serial = new("--serial") { HelpName = "WHERE", Description = "First serial port: stdio, null or file=PATH. [default: stdio]" };
    private readonly Option<string> _console = new("--console") { HelpName = "KIND", Description = "What an image's shell sits at: serial or virtio (hvc0, which knows the window's size). [default: serial]" };
    private readonly Option<string[]> _disk = new("--disk") { HelpName = "FILE", Description = "Attach a disk image; after commas: format=raw or qcow2, readonly, serial=TEXT, werror=report or stop, cache=none, grants=persistent (Xen), and limits iops=N, bps=SIZE, burst=MS. May be repeated." };
    private readonly Option<string> _net = new("--net") { HelpName = "WHERE", Description = "Network card: user (through passt), tap=NAME, bridge=NAME or none; after commas limits pps=N, bps=SIZE, burst=MS. [default: none; user with --publish, and for a built image]" };
    private readonly Option<string[]> _publish = new("--publish") { HelpName = "PORTS", Description = "Lead a port of this host to the guest: [ADDRESS:]HOST:GUEST[/udp]. May be repeated." };
    private readonly Option<string[]> _share = new("--share") { HelpName = "DIR:/PATH", Description = "Share a directory of this host, which the guest has at PATH; with :ro for reading only. May be repeated." };
    private readonly Option<string> _balloon = new("--balloon") { HelpName = "SIZE", Description = "Memory balloon: the host gets back what RAM the guest does not use, and SIZE of the rest; 0 for none of it." };
    private readonly Option<string> _virtio = new("--virtio") { HelpName = "KIND", Description = "How the guest finds its virtio devices: pci, or mmio (in memory, told of by ACPI). [default: pci]" };
    private readonly Option<string> _personality = new("--personality") { HelpName = "NAME", Description = $"The hypervisor that the guest sees: {string.Join(" or ", PersonalityArgument.Names)}. [default: kvm]" };
    private readonly Option<string> _generation = new("--generation") { HelpName = "N", Description = "The machine's shape: 1, a PC, or 2, without PCI and legacy devices, for --personality hyperv. [default: 1]" };
    private readonly Option<string> _screen = new("--screen") { HelpName = "SIZE", Description = "A screen of WIDTHxHEIGHT pixels, a keyboard and a mouse, for --personality hyperv and xen." };
    private readonly Option<string> _vsock = new("--vsock") { HelpName = "CID,PATH", Description = "Sockets between guest and host: the guest's address, and a socket here to reach its ports by." };
    private readonly Option<string> _name = new("--name") { HelpName = "NAME", Description = "The machine's name; an image takes it as host name." };
    private readonly Option<bool> _persist = new("--persist") { Description = "Keep what the system writes to its disk, under the machine's name, for the next run." };
    private readonly Option<string> _userData = new("--user-data") { HelpName = "FILE", Description = "Give FILE to the guest's cloud-init, on a disk for its NoCloud source." };
    private readonly Option<string> _sandbox = CreateSandbox();
    private readonly Option<string> _sandboxProbe = new("--sandbox-probe") { Hidden = true };
    private readonly Option<string> _onReboot = new("--on-reboot") { HelpName = "ACTION", Description = "When the guest reboots: restart or exit. [default: restart]" };
    private readonly Option<bool> _testDevices = new("--test-devices") { Description = "Add what programs that test a processor expect: QEMU's pc-testdev and fw_cfg, and an exit port after whose write of N the status is 2 N + 1." };
    private readonly Option<bool> _detach = new("--detach", "-d") { Description = "Run without this terminal. 'lamina ps', 'console', 'logs' and 'stop' find the machine." };
    private readonly Option<bool> _worker = new(DetachedLauncher.WorkerOption) { Hidden = true };
    private readonly Option<bool> _verbose = new("--verbose", "-v") { Description = "Show the kernel's messages also while a command runs." };
    private readonly Argument<string> _image = new("IMAGE") { Arity = ArgumentArity.ZeroOrOne, Description = $"What to run: {string.Join(" or ", ImageCatalog.Names)}, or what 'lamina image build' made." };

    public RunCommandSyntax()
    {
        Command = new Command("run", "Boot a virtual machine on this terminal.")
        {
            _kernel, _initrd, _append, _memory, _maximumMemory, _cpus, _accel, _irqchip, _kvmClock, _lockstep, _lockstepAll, _perfMap, _dumpBlocks, _strictCode, _cpu, _serial, _name, _onReboot, _verbose, _image,
            _disk, _net, _publish, _share, _vsock, _console, _balloon, _virtio, _personality, _generation, _screen, _persist, _userData, _sandbox, _sandboxProbe, _testDevices, _detach, _worker,
        };
    }

    /// <summary>The command.</summary>
    public Command Command { get; }

    /// <summary>Checks what was parsed.</summary>
    /// <exception cref="LaminaException">A value is not acceptable.</exception>
    public RunOptions Read(ParseResult result, string[]? command, ulong hostMemory)
    {
        string? image = result.GetValue(_image);
        string? kernel = result.GetValue(_kernel);
        string? initrd = result.GetValue(_initrd);
        CheckCombination(result, image, kernel, initrd, command);
        PersonalityKind personality = PersonalityArgument.Parse(result.GetValue(_personality));
        RunOptions options = new()
        {
            Image = image,
            Kernel = kernel,
            Initrd = initrd,
            Command = CommandArguments.GetBytes(command ?? []),
            Append = result.GetValue(_append) ?? "",
            Accelerator = PersonalityArgument.CheckAccelerator(personality, result.GetValue(_accel) ?? "auto"),
            Personality = personality,
            Generation = GenerationArgument.Parse(result.GetValue(_generation), personality),
            CpuModel = ReadCpuModel(result.GetValue(_cpu) ?? "max"),
            Serial = SerialTarget.Parse(result.GetValue(_serial)),
            Disks = [.. (result.GetValue(_disk) ?? []).Select(DiskArgument.Parse)],
            Shares = [.. (result.GetValue(_share) ?? []).Select(ShareArgument.Parse)],
            Networks = NetworkArgument.Parse(result.GetValue(_net), result.GetValue(_publish) ?? []),
            UsesVirtioConsole = ReadChoice("--console", result.GetValue(_console) ?? "serial", Consoles) == "virtio",
            Balloon = result.GetValue(_balloon) is { } balloon ? ReadBalloon(balloon) : null,
            Transport = ReadChoice("--virtio", result.GetValue(_virtio) ?? "pci", Transports) == "mmio" ? VirtioTransport.Mmio : VirtioTransport.Pci,
            Sockets = result.GetValue(_vsock) is { } sockets ? SocketArgument.Parse(sockets) : null,
            Screen = result.GetValue(_screen) is { } screen ? ScreenArgument.Parse(screen, personality) : null,
            OnReboot = ReadChoice("--on-reboot", result.GetValue(_onReboot) ?? "restart", RebootActions) == "exit" ? RebootAction.Exit : RebootAction.Restart,
            HasTestDevices = result.GetValue(_testDevices),
            HasDefaultNetwork = result.GetValue(_net) == null && (result.GetValue(_publish) ?? []).Length == 0,
            Persist = result.GetValue(_persist),
            UserData = result.GetValue(_userData),
            Name = result.GetValue(_name) is { } name ? ReadName(name) : null,
            Detach = result.GetValue(_detach),
            IsDetachedWorker = result.GetValue(_worker),
            IsSandboxed = ReadSandbox(result.GetValue(_sandbox)),
            SandboxProbe = result.GetValue(_sandboxProbe),
            Verbose = result.GetValue(_verbose),
        };
        GenerationArgument.Check(options, result.GetValue(_virtio) != null);
        ulong memory = result.GetValue(_memory) is { } size ? MemorySize.ParseMachineMemory(size, hostMemory) : options.MemorySize;
        return options with
        {
            KvmControllers = PersonalityArgument.CheckControllers(personality, ReadControllers(result.GetValue(_irqchip), options.Accelerator), ReadClock(result, options.Accelerator)),
            KvmClock = ReadClock(result, options.Accelerator),
            Inspection = ReadInspection(result, options.Accelerator),
            MemorySize = memory,
            MaximumMemory = result.GetValue(_maximumMemory) is { } maximum ? ReadMaximumMemory(maximum, memory, personality, hostMemory) : null,
            ProcessorCount = result.GetValue(_cpus) is { } cpus ? ReadProcessorCount(cpus) : options.ProcessorCount,
        };
    }

    private void CheckCombination(ParseResult result, string? image, string? kernel, string? initrd, string[]? command)
    {
        if (image != null)
        {
            ImageCatalog.Check(image);
        }
        else if (kernel == null)
        {
            throw new LaminaException($"nothing to run: name an image ({string.Join(", ", ImageCatalog.Names)}) or a kernel with --kernel FILE.");
        }

        if (image != null && initrd != null)
        {
            throw new LaminaException($"--initrd '{initrd}' cannot be used with the image '{image}', which brings its own. Leave one of them out.");
        }

        if (image == null && result.GetValue(_persist))
        {
            throw new LaminaException("--persist keeps the disk of an image; a disk given with --disk is kept anyway.");
        }

        if (command is { Length: 0 })
        {
            throw new LaminaException("no command after '--'. Write the command, or leave '--' out for a shell.");
        }

        if (command != null && image == null)
        {
            throw new LaminaException($"a command after '--' needs an image ({string.Join(", ", ImageCatalog.Names)}) to run it.");
        }
    }

    private TranslatorInspection ReadInspection(ParseResult result, string accelerator)
    {
        TranslatorInspection inspection = new()
        {
            Lockstep = result.GetValue(_lockstep) || result.GetValue(_lockstepAll),
            LockstepAll = result.GetValue(_lockstepAll),
            PerfMap = result.GetValue(_perfMap),
            StrictCode = result.GetValue(_strictCode),
            DumpFile = result.GetValue(_dumpBlocks),
        };
        if (inspection.Lockstep && result.GetValue(_cpus) is not null and not "1")
        {
            throw new LaminaException("--lockstep is for machines with one virtual processor. Leave --cpus out.");
        }

        string? option = inspection.Lockstep ? _lockstep.Name : inspection.PerfMap ? _perfMap.Name : inspection.DumpFile != null ? _dumpBlocks.Name : inspection.StrictCode ? _strictCode.Name : null;
        return option == null || accelerator == "translator"
            ? inspection
            : throw new LaminaException($"{option} is for the translator, and this machine would use the {accelerator}. Add --accel translator.");
    }

    private static KvmControllers ReadControllers(string? name, string accelerator)
    {
        if (name == null)
        {
            return KvmControllers.Auto;
        }

        KvmControllers controllers = (KvmControllers)Array.IndexOf(Controllers, ReadChoice("--kernel-irqchip", name, Controllers));
        return accelerator == "kvm"
            ? controllers
            : throw new LaminaException($"--kernel-irqchip says what KVM does, and this machine would use the {accelerator}. Add --accel kvm.");
    }

    private bool ReadClock(ParseResult result, string accelerator)
    {
        bool clock = result.GetValue(_kvmClock);
        if (clock && accelerator != "kvm")
        {
            throw new LaminaException($"--kvmclock is a clock of KVM, and this machine would use the {accelerator}. Add --accel kvm.");
        }

        return clock && result.GetValue(_irqchip) == "off"
            ? throw new LaminaException("--kvmclock needs the local APICs in KVM. Leave --kernel-irqchip off out.")
            : clock;
    }

    /// <summary>The option that says whether the machine's process is confined.</summary>
    internal static Option<string> CreateSandbox() => new("--sandbox") { HelpName = "on|off", Description = "Whether the machine's process gives up what it does not need before the guest runs. [default: on]" };

    /// <summary>Reads it.</summary>
    internal static bool ReadSandbox(string? text) => ReadChoice("--sandbox", text ?? "on", Sandboxes) == "on";

    private static ulong ReadBalloon(string text)
    {
        return MemorySize.TryParse(text, out ulong bytes, out bool hasUnit) && (hasUnit || bytes == 0)
            ? bytes
            : throw new LaminaException($"--balloon '{text}' is not a size. Write a number and a unit, such as 256M, or 0.");
    }

    private static ulong? ReadMaximumMemory(string text, ulong memory, PersonalityKind personality, ulong hostMemory)
    {
        ulong maximum = MemorySize.ParseMachineMemory(text, hostMemory, "--max-memory");
        if (personality != PersonalityKind.HyperV)
        {
            throw new LaminaException($"--max-memory '{text}' is for guests of Hyper-V, whose drivers take more memory while they run. Add --personality hyperv.");
        }

        if (maximum < memory || (maximum - memory) % MachineLayout.HotAddUnit != 0)
        {
            ulong rest = maximum < memory ? 0 : (maximum - memory + MachineLayout.HotAddUnit - 1) / MachineLayout.HotAddUnit * MachineLayout.HotAddUnit;
            throw new LaminaException($"--max-memory '{text}' is not what the machine has at the start ({MemorySize.Format(memory)}) and pieces of 128M. Did you mean '{(memory + rest) >> 20}M'?");
        }

        return maximum == memory ? null : maximum;
    }

    private static int ReadProcessorCount(string text)
    {
        const int Maximum = MachineSettings.MaximumProcessorCount;
        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int count) && count is >= 1 and <= Maximum
            ? count
            : throw new LaminaException($"--cpus '{text}' is not accepted: a machine has 1 to {Maximum} virtual processors.");
    }

    private static string ReadCpuModel(string name)
    {
        CpuModel model = CpuModel.Find(name)
            ?? throw new LaminaException($"--cpu '{name}' is not known. Accepted: {string.Join(", ", CpuModel.Names)}.{Suggestion.For(name, CpuModel.Names)}");
        return model.MissingHostFeatures.Count == 0
            ? name
            : throw new LaminaException($"--cpu '{name}' cannot be used: this host's processor lacks {string.Join(", ", model.MissingHostFeatures)}.");
    }

    private static string ReadName(string name)
    {
        return MachineName.IsValid(name)
            ? name
            : throw new LaminaException($"--name '{name}' is not accepted: {MachineName.Rule}.");
    }

    private static string ReadChoice(string option, string value, string[] accepted)
    {
        return accepted.Contains(value)
            ? value
            : throw new LaminaException($"{option} '{value}' is not known. Accepted: {string.Join(", ", accepted)}.{Suggestion.For(value, accepted)}");
    }
}
