using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Time;

namespace Lamina.Chipset.Interrupts;

/// <summary>
/// Local APIC of one processor, as xAPIC page and as x2APIC registers (Intel SDM volume 3, chapter 11). The processor's thread owns its registers; other
/// threads only set request bits and signal, without a lock. Version 0x14 with six local vectors and suppression of EOI broadcast.
/// </summary>
public sealed partial class LocalApic : IDevice, ILocalInterruptController, ILocalApicRecord, IDirectVectors, IFlaggedEndOfInterrupt
{
    private const ulong BaseAddressAfterReset = 0xfee0_0000;
    private const ulong BootstrapFlag = 1 << 8;
    private const ulong ExtendedFlag = 1 << 10;
    private const ulong EnableFlag = 1 << 11;
    private const uint SoftwareEnable = 1 << 8;
    private const uint SuppressEndOfInterruptBroadcast = 1 << 12;
    private const uint SpuriousVectorAfterReset = 0xff;
    private const uint EntryMasked = 1 << 16;
    private const uint EntryLevel = 1 << 15;
    private const uint EntryRemoteRequest = 1 << 14;
    private const int TimerIndex = 0;
    private const int Lint0Index = 3;
    private const int Lint1Index = 4;
    private const int ErrorIndex = 5;
    private const int EntryCount = 6;

    private readonly ApicBus _bus;
    private readonly ApicTimer _timer;
    private readonly bool _bootstrap;
    private readonly ulong _baseReserved;
    private readonly uint[] _entries = new uint[EntryCount];
    private IProcessorSignals? _processor;
    private VectorBitmap _requests;
    private VectorBitmap _inService;
    private VectorBitmap _triggerMode;
    private ulong _base;
    private ulong _command;
    private uint _spuriousVector;
    private uint _logicalDestination;
    private uint _destinationFormat;
    private uint _errorStatus;
    private int _pendingErrors;
    private int _processorPriority;
    private byte _taskPriority;
    private volatile bool _externalMessage;
    private volatile bool _initPending;
    private readonly ulong[] _direct = new ulong[4];

    /// <summary>Makes it, in the state after power-on, and attaches it to the bus.</summary>
    /// <param name="name">Device name ("lapic0").</param>
    /// <param name="apicId">Its identifier, below <see cref="ApicBus.MaximumProcessors"/>. Guests cannot change it.</param>
    /// <param name="bootstrap">Whether its processor starts the machine.</param>
    /// <param name="bus">Where messages go and come from.</param>
    /// <param name="clock">The machine clock.</param>
    /// <param name="tscFrequency">Hz of the time-stamp counter, which counts the machine clock from zero.</param>
    /// <param name="busFrequency">Hz of the timer's undivided input.</param>
    /// <param name="physicalAddressBits">Width of a physical address, for the reserved bits of IA32_APIC_BASE.</param>
    public LocalApic(
        string name,
        uint apicId,
        bool bootstrap,
        ApicBus bus,
        IMachineClock clock,
        ulong tscFrequency,
        ulong busFrequency = 1_000_000_000,
        int physicalAddressBits = 52)
    {
        Name = name;
        InitialId = apicId;
        _bootstrap = bootstrap;
        _bus = bus;
        _baseReserved = ~((1UL << physicalAddressBits) - 1) | 0x2ff;
        _timer = new ApicTimer(this, clock, tscFrequency, busFrequency);
        Reset();
        bus.Attach(this);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <inheritdoc/>
    public bool IsEnabled => (Volatile.Read(ref _base) & EnableFlag) != 0;

    /// <inheritdoc/>
    public void SetDirect(byte vector, bool isDirect)
    {
        ulong bit = 1UL << (vector & 63);
        if (isDirect)
        {
            Interlocked.Or(ref _direct[vector >> 6], bit);
        }
        else
        {
            Interlocked.And(ref _direct[vector >> 6], ~bit);
        }
    }

    /// <inheritdoc/>
    public void ClearDirect()
    {
        for (int i = 0; i < _direct.Length; i++)
        {
            Volatile.Write(ref _direct[i], 0);
        }
    }

    /// <inheritdoc/>
    public uint ApicId => InitialId;

    /// <inheritdoc/>
    public ulong PageAddress { get; private set; }

    /// <inheritdoc/>
    public bool HasInterrupt
    {
        get
        {
            ApplyPendingInit();
            if (_flagUp && _requests.Highest >= 0)
            {
                LowerFlag();
            }

            return _requests.Highest > (_processorPriority | 0xf) || HasExternalInterrupt;
        }
    }

    /// <inheritdoc/>
    public byte TaskPriorityClass
    {
        get
        {
            ApplyPendingInit();
            return (byte)(_taskPriority >> 4);
        }

        set
        {
            ApplyInit();
            WriteTaskPriority((byte)(value << 4));
        }
    }

    internal uint InitialId { get; }

    internal uint TimerEntry => Volatile.Read(ref _entries[TimerIndex]);

    internal bool IsSoftwareEnabled => !_initPending && IsEnabled && (Volatile.Read(ref _spuriousVector) & SoftwareEnable) != 0;

    /// <summary>APR (Intel SDM volume 3, section 11.6.2.4), as other processors see it.</summary>
    internal int ArbitrationPriority
    {
        get
        {
            int task = _taskPriority;
            int request = Math.Max(_requests.Highest, 0) & 0xf0;
            int service = Math.Max(_inService.Highest, 0) & 0xf0;
            bool taskWins = (task & 0xf0) >= request && (task & 0xf0) > service;
            return taskWins ? task : Math.Max(task & 0xf0, Math.Max(request, service));
        }
    }

    private bool IsExtended => (Volatile.Read(ref _base) & ExtendedFlag) != 0;

    // Intel SDM volume 3, section 11.5.1: ExtINT takes its vector from the 8259. A disabled APIC leaves the pin to be INTR itself.
    private bool HasExternalInterrupt => _externalMessage || (_bus.ExternalInterrupt && IsExternalPathOpen);

    private bool IsExternalPathOpen => !IsEnabled
        || (Volatile.Read(ref _entries[Lint0Index]) & (EntryMasked | 0x700)) == (uint)DeliveryMode.External << 8;

    /// <summary>Connects the processor. Once, before start.</summary>
    public void Connect(IProcessorSignals processor) => _processor = processor;

    /// <summary>
    /// Puts the APIC into virtual wire mode, as firmware does on the bootstrap processor before it starts an operating system (MultiProcessor
    /// Specification 1.4, section 3.6.2.2): enabled, LINT0 is ExtINT from the 8259, LINT1 is NMI. After <see cref="Reset"/>, before the processor runs.
    /// </summary>
    public void EnterVirtualWireMode()
    {
        WriteSpuriousVector(SoftwareEnable | 0xff);
        WriteEntry(Lint0Index, (uint)DeliveryMode.External << 8);
        WriteEntry(Lint1Index, (uint)DeliveryMode.NonMaskable << 8);
    }

    /// <inheritdoc/>
    public bool TryAcknowledge(out byte vector)
    {
        ApplyPendingInit();
        if (_flagUp)
        {
            LowerFlag();
        }

        if (HasExternalInterrupt)
        {
            _externalMessage = false;
            vector = _bus.AcknowledgeExternal();
            return true;
        }

        int highest = _requests.Highest;
        if (highest <= (_processorPriority | 0xf))
        {
            vector = 0;
            return false;
        }

        vector = (byte)highest;
        _requests.Clear(vector);
        if ((Volatile.Read(ref _direct[vector >> 6]) & (1UL << (vector & 63))) == 0)
        {
            _inService.Set(vector);
            _processorPriority = vector & 0xf0;
            RaiseFlag(vector);
        }

        return true;
    }

    /// <inheritdoc/>
    public void Start() => _timer.Start();

    /// <inheritdoc/>
    public void Stop() => _timer.Stop();

    /// <inheritdoc/>
    public void Reset()
    {
        SetBase(BaseAddressAfterReset | EnableFlag | (_bootstrap ? BootstrapFlag : 0));
        _initPending = false;
        ResetRegisters();
    }

    /// <summary>Whether a message with a set or broadcast destination is for this APIC (Intel SDM volume 3, section 11.6.2). Any thread.</summary>
    internal bool Matches(in InterruptMessage message)
    {
        if (!IsEnabled)
        {
            return false;
        }

        uint destination = message.Destination;
        if (!message.Logical)
        {
            return destination == InterruptMessage.Broadcast || destination == InitialId;
        }

        if (IsExtended)
        {
            uint logical = ExtendedLogicalId;
            return destination == InterruptMessage.Broadcast || (destination >> 16 == logical >> 16 && (destination & logical & 0xffff) != 0);
        }

        uint own = Volatile.Read(ref _logicalDestination) >> 24;
        if ((Volatile.Read(ref _destinationFormat) >> 28) == 0xf)
        {
            return (destination & own & 0xff) != 0 || (destination & 0xff) == 0xff;
        }

        uint cluster = (destination >> 4) & 0xf;
        return (cluster == 0xf || cluster == own >> 4) && (destination & own & 0xf) != 0;
    }

    /// <summary>Takes a message. Any thread.</summary>
    /// <returns>Whether it was taken.</returns>
    internal bool Accept(in InterruptMessage message)
    {
        switch (message.Mode)
        {
            case DeliveryMode.Fixed:
            case DeliveryMode.LowestPriority:
                return AcceptVector(message.Vector, message.Level);
            case DeliveryMode.SystemManagement:
                _processor?.SignalSystemManagement();
                return true;
            case DeliveryMode.NonMaskable:
                _processor?.SignalNonMaskable();
                return true;
            case DeliveryMode.Init:
                // The processor's own thread resets the registers, when it next looks.
                _initPending = true;
                _timer.Disarm();
                _processor?.SignalInit();
                return true;
            case DeliveryMode.StartUp:
                _processor?.SignalStartUp(message.Vector);
                return true;
            case DeliveryMode.External:
                _externalMessage = true;
                _processor?.SignalInterrupt();
                return true;
            default:
                return false;
        }
    }

    /// <summary>The timer has run out. vCPU thread or event loop.</summary>
    internal void RaiseTimer()
    {
        uint entry = TimerEntry;
        if ((entry & EntryMasked) == 0)
        {
            AcceptVector((byte)entry, level: false);
        }
    }

    /// <summary>LINT0 changes. Any thread.</summary>
    internal void OnExternalInterrupt(bool asserted)
    {
        if (!asserted)
        {
            return;
        }

        if (!IsEnabled)
        {
            _processor?.SignalInterrupt();
            return;
        }

        RaiseLint(Lint0Index);
    }

    /// <summary>An edge on LINT1. Any thread.</summary>
    internal void PulseLint1()
    {
        if (IsEnabled)
        {
            RaiseLint(Lint1Index);
        }
        else
        {
            _processor?.SignalNonMaskable();
        }
    }

    private bool AcceptVector(byte vector, bool level)
    {
        if (!IsSoftwareEnabled)
        {
            return false;
        }

        if (vector < 16)
        {
            ReportError(ApicErrors.ReceiveIllegalVector);
            return false;
        }

        _triggerMode.Assign(vector, level);
        if (_requests.Set(vector))
        {
            _processor?.SignalInterrupt();
        }

        return true;
    }

    private void RaiseLint(int index)
    {
        uint entry = Volatile.Read(ref _entries[index]);
        if ((entry & EntryMasked) != 0)
        {
            return;
        }

        DeliveryMode mode = (DeliveryMode)((entry >> 8) & 7);
        switch (mode)
        {
            case DeliveryMode.Fixed when (entry & EntryLevel) != 0 && index == Lint0Index:
                if ((Interlocked.Or(ref _entries[index], EntryRemoteRequest) & EntryRemoteRequest) == 0)
                {
                    AcceptVector((byte)entry, level: true);
                }

                break;
            case DeliveryMode.Fixed:
                AcceptVector((byte)entry, level: false);
                break;
            case DeliveryMode.External:
                if (index == Lint0Index)
                {
                    _processor?.SignalInterrupt();
                }

                break;
            case DeliveryMode.SystemManagement:
            case DeliveryMode.NonMaskable:
            case DeliveryMode.Init:
                Accept(new InterruptMessage(0, false, mode, 0, false));
                break;
            default:
                break;
        }
    }

    private void ReportError(ApicErrors errors)
    {
        Interlocked.Or(ref _pendingErrors, (int)errors);
        uint entry = Volatile.Read(ref _entries[ErrorIndex]);
        if ((entry & EntryMasked) == 0 && (byte)entry >= 16)
        {
            AcceptVector((byte)entry, level: false);
        }
    }

    private void ApplyInit()
    {
        ApplyPendingInit();
        if (_flagUp)
        {
            LowerFlag();
            SignalDeliverable();
        }
    }

    private void ApplyPendingInit()
    {
        if (_initPending)
        {
            _initPending = false;
            if (_flagUp)
            {
                // What was in service is not any more. Whoever found the flag up later would not tell of an end.
                _flag?.Lower();
            }

            ResetRegisters();
        }
    }

    // Intel SDM volume 3, section 11.4.7: the state after power-on, INIT, or the return from "disabled".
    private void ResetRegisters()
    {
        _timer.Reset();
        _flagUp = false;
        _requests.ClearAll();
        _inService.ClearAll();
        _triggerMode.ClearAll();
        _command = 0;
        _taskPriority = 0;
        _processorPriority = 0;
        _logicalDestination = 0;
        _destinationFormat = uint.MaxValue;
        _spuriousVector = SpuriousVectorAfterReset;
        _errorStatus = 0;
        _pendingErrors = 0;
        _externalMessage = false;
        Array.Fill(_entries, EntryMasked);
    }

    private void SetBase(ulong value)
    {
        Volatile.Write(ref _base, value);
        PageAddress = (value & (EnableFlag | ExtendedFlag)) == EnableFlag ? value & ~0xfffUL : ulong.MaxValue;
    }

    private void UpdateProcessorPriority()
    {
        SetProcessorPriority();
        SignalDeliverable();
    }

    private void SetProcessorPriority()
    {
        int service = Math.Max(_inService.Highest, 0) & 0xf0;
        _processorPriority = (_taskPriority & 0xf0) >= service ? _taskPriority : service;
    }

    private void SignalDeliverable()
    {
        if (_requests.Highest > (_processorPriority | 0xf))
        {
            _processor?.SignalInterrupt();
        }
    }
}
