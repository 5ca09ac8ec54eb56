using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Personalities;
using Lamina.Machine.Processors;
using Lamina.Machine.Time;
using Lamina.Personalities.VMware.Backdoor;
using Lamina.Personalities.VMware.Balloon;
using Lamina.Personalities.VMware.GuestRpc;

namespace Lamina.Personalities.VMware;

/// <summary>
/// What a guest of VMware finds: the signature, the frequencies (Linux, arch/x86/kernel/cpu/vmware.c), and the backdoor ports: two that programs use as well as the kernel,
/// with the messages of open-vm-tools, and one for the kernel's memory balloon.
/// </summary>
public sealed class VMwarePersonality : IPersonality
{
    private const ushort BackdoorPort = 0x5658;
    private const ushort HighBandwidthPort = 0x5659;
    private const uint Magic = 0x564d_5868;
    private const ushort BalloonPort = 0x5670;
    private const uint BalloonMagic = 0x456c_6d6f;
    private const uint Refused = uint.MaxValue;

    // Of the interface, as every product of today answers; and a server.
    private const uint InterfaceVersion = 6;
    private const uint ServerProduct = 2;
    private const uint HardwareVersion = 13;

    // Bit 3: x2APIC mode works without interrupt remapping.
    private const uint LegacyX2Apic = 1 << 3;
    private const ushort ToolsFields = 1;
    private const ushort BalloonFields = 100;
    private const ushort ChannelFields = 128;
    private const ulong NanosecondsPerSecond = 1_000_000_000;
    private const uint MaximumTimeLag = 1_000_000;

    private readonly PersonalitySettings _settings;
    private readonly RpcTransport _transport;
    private readonly BalloonService _balloon;

    /// <summary>Makes it.</summary>
    /// <param name="settings">The machine.</param>
    /// <param name="reclaimer">Takes pages that the guest gives back; null for nobody.</param>
    public VMwarePersonality(PersonalitySettings settings, IMemoryReclaimer? reclaimer = null)
    {
        ArgumentNullException.ThrowIfNull(settings);
        _settings = settings;
        Tools = new ToolsService(settings.Gate, settings.Clock);
        _transport = new RpcTransport(Tools, settings.Clock);
        _balloon = new BalloonService(settings.Gate, settings.Memory, reclaimer);
        Leaves =
        [
            HypervisorLeaves.CreateSignature(HypervisorLeaves.Timing, "VMwareVMware"),
            HypervisorLeaves.CreateTiming(settings.TscFrequency, settings.LocalTimerFrequency),
        ];
    }

    /// <inheritdoc/>
    public string Name => "vmware";

    /// <summary>The host's side of open-vm-tools.</summary>
    public ToolsService Tools { get; }

    /// <summary>The memory balloon.</summary>
    public IBalloon Balloon => _balloon;

    /// <inheritdoc/>
    public IReadOnlyList<CpuidEntry> Leaves { get; }

    /// <inheritdoc/>
    public ushort FirstPort => BackdoorPort;

    /// <inheritdoc/>
    public int PortCount => BalloonPort - BackdoorPort + 1;

    /// <inheritdoc/>
    public bool HasHypercalls => false;

    /// <inheritdoc/>
    public bool HasHypercallPage => false;

    /// <inheritdoc/>
    public bool UsesHypercallInstruction => false;

    /// <inheritdoc/>
    public bool NeedsLocalApics => false;

    /// <inheritdoc/>
    public void Connect(int processor, IProcessorSignals signals, ILocalInterruptController controller)
    {
    }

    /// <inheritdoc/>
    public bool TryReadMsr(int processor, ulong timeStamp, uint index, out ulong value)
    {
        value = 0;
        return false;
    }

    /// <inheritdoc/>
    public bool TryWriteMsr(int processor, ulong timeStamp, uint index, ulong value) => false;

    /// <inheritdoc/>
    public bool DependsOnTimeStamp(uint index) => false;

    /// <inheritdoc/>
    public void OnTimeStampSet(int processor, ulong timeStamp)
    {
    }

    /// <inheritdoc/>
    public bool TryHypercall(in GuestCall call, bool byInstruction = true) => false;

    /// <inheritdoc/>
    public void ReadPort(in GuestCall call, ushort port, Span<byte> data)
    {
        // Whoever does not know the magic number reads a port at which there is nothing.
        uint answer = Refused;
        if (data.Length == sizeof(uint) && port == BalloonPort && (uint)call.Registers[GuestCall.Rax] == BalloonMagic)
        {
            // It takes pages of memory, which is not for programs.
            answer = call.PrivilegeLevel == 0 ? _balloon.Execute(call) : Refused;
        }
        else if (data.Length == sizeof(uint) && port == BackdoorPort && (uint)call.Registers[GuestCall.Rax] == Magic)
        {
            answer = Answer(call, (BackdoorCommand)(ushort)call.Registers[GuestCall.Rcx]);
        }

        if (IsHighBandwidth(call, port, data.Length))
        {
            _settings.Gate.Enter();
            data[0] = _transport.Read(call);
            _settings.Gate.Exit();
        }
        else if (data.Length == sizeof(uint))
        {
            BitConverter.TryWriteBytes(data, answer);
        }
        else
        {
            data.Fill(0xff);
        }
    }

    /// <inheritdoc/>
    public void WritePort(in GuestCall call, ushort port, ReadOnlySpan<byte> data)
    {
        if (IsHighBandwidth(call, port, data.Length))
        {
            _settings.Gate.Enter();
            _transport.Write(call, data[0]);
            _settings.Gate.Exit();
        }
    }

    /// <inheritdoc/>
    public void Start()
    {
        _settings.Gate.Enter();
        Tools.OnContinued();
        _settings.Gate.Exit();
    }

    /// <inheritdoc/>
    public void Stop()
    {
    }

    /// <inheritdoc/>
    public void Reset()
    {
        _settings.Gate.Enter();
        _transport.Reset();
        Tools.Reset();
        _balloon.Reset();
        _settings.Gate.Exit();
    }

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        _settings.Gate.Enter();
        Tools.Save(state, ToolsFields);
        _balloon.Save(state, BalloonFields);
        _transport.Save(state, ChannelFields);
        _settings.Gate.Exit();
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        _settings.Gate.Enter();
        bool valid = _transport.Restore(state, ChannelFields) & Tools.Restore(state, ToolsFields) & _balloon.Restore(state, BalloonFields);
        _settings.Gate.Exit();
        return valid;
    }

    private static bool IsHighBandwidth(in GuestCall call, ushort port, int length) => length == 1 && port == HighBandwidthPort && (uint)call.Registers[GuestCall.Rax] == Magic;

    // EAX is the answer; the other registers are set here.
    private uint Answer(in GuestCall call, BackdoorCommand command)
    {
        switch (command)
        {
            case BackdoorCommand.GetMegahertz:
                return (uint)(_settings.TscFrequency / 1_000_000);
            case BackdoorCommand.GetVersion:
                call.Set32(GuestCall.Rbx, Magic);
                call.Set32(GuestCall.Rcx, ServerProduct);
                return InterfaceVersion;
            case BackdoorCommand.GetHardwareVersion:
                return HardwareVersion;
            case BackdoorCommand.GetMemorySize:
                return (uint)(_settings.Memory.Size >> 20);
            case BackdoorCommand.GetTime:
                TellTime(call, _settings.Clock);
                return (uint)(_settings.Clock.UnixTime / NanosecondsPerSecond);
            case BackdoorCommand.Message:
                _settings.Gate.Enter();
                _transport.Step(call);
                _settings.Gate.Exit();
                return 0;
            case BackdoorCommand.GetScreenSize:
                // Width and height, a half each: such a machine has no screen.
                return 0;
            case BackdoorCommand.AbsolutePointerStatus:
                // There is no such pointer.
                return 0;
            case BackdoorCommand.GetHertz:
                call.Set32(GuestCall.Rbx, (uint)(_settings.TscFrequency >> 32));
                call.Set32(GuestCall.Rcx, (uint)_settings.LocalTimerFrequency);
                return (uint)_settings.TscFrequency;
            case BackdoorCommand.GetTimeFull:
                ulong seconds = TellTime(call, _settings.Clock);
                call.Set32(GuestCall.Rsi, (uint)(seconds >> 32));
                call.Set32(GuestCall.Rdx, (uint)seconds);
                return Magic;
            case BackdoorCommand.GetProcessorInfo:
                return LegacyX2Apic;
            default:
                return Refused;
        }
    }

    // Microseconds, and how far the guest may be behind before it is to catch up.
    private static ulong TellTime(in GuestCall call, IMachineClock clock)
    {
        ulong now = clock.UnixTime;
        call.Set32(GuestCall.Rbx, (uint)(now % NanosecondsPerSecond / 1000));
        call.Set32(GuestCall.Rcx, MaximumTimeLag);
        return now / NanosecondsPerSecond;
    }
}
