using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Memory;
using Lamina.Machine.Pci;
using Lamina.Machine.Time;

namespace Lamina.Personalities.VMware.Vmci;

/// <summary>
/// VMware's device for talk between a guest and its host, in its form with ports, as Linux's driver describes it (drivers/misc/vmw_vmci/vmci_guest.c): datagrams go byte by byte through a port each way, and
/// what the hypervisor is asked for is a datagram with an answer. Sockets are what the host has at the other end.
/// </summary>
public sealed partial class VmciDevice : IDevice, IRegisterWindow, IBusMasterTarget
{
    /// <summary>The lowest context that a guest can have; those below have meanings.</summary>
    public const uint MinimumContext = 3;

    private const ulong PortCount = 64;
    private const int VectorCount = 2;
    private const uint Offered = VmciRegister.CapabilityDatagram | VmciRegister.CapabilityNotifications | VmciRegister.CapabilityWidePages;
    private const uint Causes = VmciRegister.Datagram | VmciRegister.Notification;

    // Without an address, kernels take it for one that has the lowest ports.
    private const uint FirmwarePorts = 0xc000;

    // The longest that anybody listens to: a queue pair's pages.
    private const int MaximumMessage = 256;

    private readonly ILock _gate;
    private readonly GuestMemory _memory;
    private readonly MsixTable _msix;
    private readonly Doorbells _doorbells;
    private readonly SocketBroker _sockets;
    private readonly uint _guest;
    private uint _cause;
    private uint _mask;
    private uint _capabilities;
    private int _result;
    private bool _enabled;
    private bool _stopped = true;
    private bool _connectionsLost;

    /// <summary>Makes it; the locks are its own.</summary>
    /// <param name="name">Unique in the machine.</param>
    /// <param name="gate">The device's lock.</param>
    /// <param name="functionLock">The function's.</param>
    /// <param name="tableLock">The vectors'.</param>
    /// <param name="memory">Guest RAM.</param>
    /// <param name="clock">Says when a guest has not answered.</param>
    /// <param name="messages">Where interrupts go.</param>
    /// <param name="backend">The host's sockets.</param>
    /// <param name="context">The guest's address (CID), from <see cref="MinimumContext"/> on.</param>
    public VmciDevice(
        string name, ILock gate, ILock functionLock, ILock tableLock, GuestMemory memory, IMachineClock clock, IMessageInterruptSink messages, ISocketBackend backend, uint context)
    {
        ArgumentNullException.ThrowIfNull(clock);
        ArgumentNullException.ThrowIfNull(backend);
        ArgumentOutOfRangeException.ThrowIfLessThan(context, MinimumContext);
        Name = name;
        _gate = gate;
        _memory = memory;
        _guest = context;
        Function = new PciFunction(functionLock, new PciIdentity(0x15ad, 0x0740, 0x08_8000, 0x10, 0x15ad, 0x0740, InterruptPin: 1));
        _msix = new MsixTable(tableLock, messages, VectorCount);
        Function.AddBar(0, PciBarKind.Io, PortCount, this, $"{name} ports");
        Function.SetFirmwareAddress(0, FirmwarePorts);
        Function.AddMsix(2, _msix, $"{name} msix");
        Function.MasterTarget = this;
        _doorbells = new Doorbells(memory);
        _sockets = new SocketBroker(this, gate, memory, clock, backend, context);
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>The function, to be put on a bus.</summary>
    public PciFunction Function { get; }

    /// <summary>Whether the machine goes on.</summary>
    internal bool IsRunning => !_stopped;

    /// <summary>Whether the guest's pages may be looked at: while the guest calls, and by the function itself as far as the guest lets it.</summary>
    internal bool MayTouchMemory => !_stopped && (_isCalled || Function.IsBusMaster);

    /// <summary>Whether the guest has a driver that reads datagrams.</summary>
    internal bool IsListening => MayTouchMemory && _enabled && (_mask & VmciRegister.Datagram) != 0;

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, Span<byte> data)
    {
        _gate.Enter();
        switch (offset)
        {
            case VmciRegister.DataIn:
                ReadDatagrams(data);
                break;
            case VmciRegister.InterruptCause:
                LittleEndian.Put(data, _cause);
                _cause = 0;
                UpdateLine();
                break;
            case VmciRegister.ResultLow:
                LittleEndian.Put(data, (uint)TakeResult());
                break;
            default:
                LittleEndian.Put(data, offset switch
                {
                    VmciRegister.Status => _enabled && (_cause & _mask) != 0 ? VmciRegister.StatusInterrupting : 0,
                    VmciRegister.InterruptMask => _mask,
                    VmciRegister.Capabilities => Offered,
                    VmciRegister.ResultHigh => _result < 0 ? uint.MaxValue : 0,
                    _ => 0,
                });
                break;
        }

        _gate.Exit();
        return AccessResult.Done;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        uint value = (uint)LittleEndian.Get(data);
        _gate.Enter();
        switch (offset)
        {
            case VmciRegister.DataOut:
                WriteDatagram(data);
                break;
            case VmciRegister.Control:
                Control(value);
                break;
            case VmciRegister.InterruptCause:
                _cause &= ~value;
                UpdateLine();
                break;
            case VmciRegister.InterruptMask:
                _mask = value & Causes;
                Interrupt(_cause);
                break;
            case VmciRegister.Capabilities:
                _capabilities = value & Offered;
                break;
        }

        _gate.Exit();
        return AccessResult.Done;
    }

    /// <inheritdoc/>
    public void Start()
    {
        _gate.Enter();
        _stopped = false;
        if (_connectionsLost && _enabled)
        {
            Interrupt(VmciRegister.Datagram);
        }

        _gate.Exit();
        _sockets.Start();
    }

    /// <inheritdoc/>
    public void Stop()
    {
        _gate.Enter();
        _stopped = true;
        _gate.Exit();
        _sockets.Stop();
    }

    /// <inheritdoc/>
    public void Reset()
    {
        _gate.Enter();
        ResetDevice();
        _gate.Exit();
        Function.Reset();
    }

    /// <inheritdoc/>
    void IBusMasterTarget.OnBusMaster()
    {
        // What has come meanwhile is passed on.
        _gate.Enter();
        _sockets.LookAgain();
        if (_sockets.HasWork)
        {
            Interrupt(VmciRegister.Datagram);
        }

        _gate.Exit();
    }

    /// <summary>Connections do not survive: the guest is told afterwards that there are none.</summary>
    public void Save(IStateWriter state)
    {
        _gate.Enter();
        state.Write(1, (ulong)_cause);
        state.Write(2, (ulong)_mask);
        state.Write(3, (ulong)_capabilities);
        state.Write(4, (ulong)(uint)_result);
        state.Write(5, _enabled);
        state.Write(6, (ulong)_sockets.NextHostPort);
        state.Write(7, (ulong)_sockets.NextResource);
        SaveDatagrams(state, 8);
        _doorbells.Save(state, 16);
        Function.Save(state, 20);
        _gate.Exit();
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        uint result = 0;
        uint port = 0;
        uint resource = 0;
        bool valid = state.TryTake(1, ref _cause) & state.TryTake(2, ref _mask) & state.TryTake(3, ref _capabilities) & state.TryTake(4, ref result) & state.TryTake(5, ref _enabled)
            & state.TryTake(6, ref port) & state.TryTake(7, ref resource);
        (_result, _sockets.NextHostPort, _sockets.NextResource) = ((int)result, port, resource);
        valid = valid && ((_cause | _mask) & ~Causes) == 0 && (_capabilities & ~Offered) == 0;
        valid = valid && RestoreDatagrams(state, 8) && _doorbells.Restore(state, 16) && Function.Restore(state, 20);
        _connectionsLost = valid;
        return valid;
    }

    /// <summary>Tells the guest of datagrams if there are new ones. With the lock held.</summary>
    internal void TellDatagrams()
    {
        if (_sockets.TakeNews())
        {
            Interrupt(VmciRegister.Datagram);
        }
    }

    private void Control(uint value)
    {
        if ((value & VmciRegister.ControlReset) != 0)
        {
            ResetDevice();
        }

        if ((value & VmciRegister.ControlInterruptEnable) != 0)
        {
            _enabled = true;
            Interrupt(_cause);
        }

        if ((value & VmciRegister.ControlInterruptDisable) != 0)
        {
            _enabled = false;
            UpdateLine();
        }
    }

    private void ResetDevice()
    {
        _cause = _mask = _capabilities = 0;
        _result = 0;
        _enabled = _connectionsLost = false;
        ResetDatagrams();
        _doorbells.Reset();
        _sockets.Reset();
        UpdateLine();
    }

    // A vector for each cause; drivers with one for all look at the register.
    private void Interrupt(uint causes)
    {
        _cause |= causes;
        if (!_msix.IsEnabled)
        {
            UpdateLine();
            return;
        }

        uint open = _enabled ? causes & _mask : 0;
        for (int vector = 0; vector < VectorCount; vector++)
        {
            if ((open & (1u << vector)) != 0)
            {
                _msix.Raise(vector);
            }
        }
    }

    private void UpdateLine() => Function.SetInterrupt(!_msix.IsEnabled && _enabled && (_cause & _mask) != 0);
}
