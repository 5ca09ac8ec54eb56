using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Backends;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;
using Lamina.Machine.Memory;
using Lamina.Machine.Pci;
using Lamina.Personalities.Scsi;

namespace Lamina.Personalities.VMware.Pvscsi;

/// <summary>
/// VMware's paravirtual SCSI adapter, as Linux's driver describes it (drivers/scsi/vmw_pvscsi.h). A kick takes all requests from the ring on the processor's thread; they end there or on
/// a back end's thread, in any order. A reset stops commands that write again and again, and waits until nothing is under way, because the driver frees its buffers after it.
/// </summary>
public sealed class PvscsiController : IDevice, IRegisterWindow, IScsiCompletion
{
    /// <summary>Most disks.</summary>
    public const int MaximumTargets = 16;

    private const ulong WindowLength = 0x8000;
    private const int RequestSlots = 64;
    private const uint CompletionInterrupt = 1;
    private const uint MessageInterrupt = 4;
    private const uint AllInterrupts = 0xf;
    private const uint EveryTarget = uint.MaxValue;

    private readonly ILock _gate;
    private readonly GuestMemory _memory;
    private readonly MsixTable _msix;
    private readonly PvscsiRings _rings;
    private readonly PvscsiCommands _commands;
    private readonly PvscsiMessages _messages;
    private readonly Removal[] _removals = new Removal[MaximumTargets];
    private readonly ScsiTarget?[] _targets = new ScsiTarget?[MaximumTargets];
    private readonly ScsiRequest[] _requests = new ScsiRequest[RequestSlots];
    private readonly Pending[] _pending = new Pending[RequestSlots];
    private readonly int[] _free = new int[RequestSlots];
    private int _freeCount;
    private uint _interruptStatus;
    private uint _interruptMask;
    private uint _grown;
    private bool _stopped = true;
    private bool _paused;

    /// <summary>Makes an adapter without disks; the locks are its own.</summary>
    public PvscsiController(string name, ILock gate, ILock functionLock, ILock tableLock, GuestMemory memory, IMessageInterruptSink messages)
    {
        Name = name;
        _gate = gate;
        _memory = memory;
        _rings = new PvscsiRings(memory);
        _commands = new PvscsiCommands(memory);
        _messages = new PvscsiMessages(memory);
        Function = new PciFunction(functionLock, new PciIdentity(0x15ad, 0x07c0, 0x01_0000, 2, 0x15ad, 0x07c0, InterruptPin: 1));
        _msix = new MsixTable(tableLock, messages, 1);
        Function.AddBar(0, PciBarKind.Memory32, WindowLength, this, $"{name} registers");
        Function.AddMsix(1, _msix, $"{name} msix");
        for (int i = 0; i < RequestSlots; i++)
        {
            _requests[i] = new ScsiRequest(i, this);
            _free[i] = i;
        }

        _freeCount = RequestSlots;
    }

    /// <inheritdoc/>
    public string Name { get; }

    /// <summary>The function, to be put on a bus.</summary>
    public PciFunction Function { get; }

    /// <summary>Adds a disk as the only logical unit of the next target. Before the machine starts.</summary>
    /// <param name="backend">The content.</param>
    /// <param name="serial">Serial number: at most 20 bytes of ASCII.</param>
    /// <returns><c>false</c> if there is no place.</returns>
    public bool TryAddDisk(IBlockBackend backend, ReadOnlySpan<byte> serial)
    {
        int place = Array.IndexOf(_targets, null);
        return place >= 0 && TryInsert(place, backend, serial);
    }

    /// <summary>Adds a disk as the only logical unit of a target, and tells the driver if it takes messages. Any thread.</summary>
    /// <returns><c>false</c> if there is one.</returns>
    public bool TryInsert(int target, IBlockBackend backend, ReadOnlySpan<byte> serial)
    {
        ScsiTarget disk = new(_memory, new ScsiDisk[] { new(_memory, backend, serial) });
        _gate.Enter();
        bool free = target is >= 0 and < MaximumTargets && _targets[target] is null;
        if (free)
        {
            _targets[target] = disk;
            _removals[target] = default;
            if (_messages.TryPost(PvscsiMessages.DeviceAdded, (uint)target, out _))
            {
                Interrupt(MessageInterrupt);
            }
        }

        _gate.Exit();
        return free;
    }

    /// <summary>Tells the driver that a disk goes. Any thread.</summary>
    /// <returns><c>false</c> if it takes no messages; then the disk is given up with the next reset.</returns>
    public bool RequestRemoval(int target)
    {
        _gate.Enter();
        ref Removal removal = ref _removals[target];
        removal.IsRequested = true;
        if (!removal.IsTold && !removal.IsGivenUp && _messages.TryPost(PvscsiMessages.DeviceRemoved, (uint)target, out removal.Message))
        {
            removal.IsTold = true;
            Interrupt(MessageInterrupt);
        }

        bool told = removal.IsTold || removal.IsGivenUp;
        _gate.Exit();
        return told;
    }

    /// <summary>Whether the driver has let go of a disk that was to go: it has acted on the message, or was reset. Any thread.</summary>
    public bool IsGivenUp(int target)
    {
        _gate.Enter();
        ref Removal removal = ref _removals[target];
        removal.IsGivenUp |= removal.IsTold && _messages.HasTaken(removal.Message);
        bool gone = removal.IsGivenUp;
        _gate.Exit();
        return gone;
    }

    /// <summary>Takes a disk away; requests for it find nobody from now on. Any thread. Waits until nothing is under way there.</summary>
    public void Remove(int target)
    {
        _gate.Enter();
        ScsiTarget? disk = _targets[target];
        _targets[target] = null;
        _removals[target] = default;
        _grown &= ~(1u << target);
        _gate.Exit();
        disk?.Drain();
    }

    /// <summary>Changes a disk's size while nothing is under way there. The adapter has no message for that: the driver is told with its next command for the disk. Any thread.</summary>
    public void Resize(int target, Action resize)
    {
        ArgumentNullException.ThrowIfNull(resize);
        _gate.Enter();
        _paused = true;
        ScsiTarget? disk = _targets[target];
        _gate.Exit();
        disk?.Drain();
        resize();
        _gate.Enter();
        _paused = false;
        _grown |= disk is null ? 0 : 1u << target;
        Process();
        _gate.Exit();
    }

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, Span<byte> data)
    {
        _gate.Enter();
        LittleEndian.Put(data, offset switch
        {
            PvscsiRegister.CommandStatus => _commands.Status,
            PvscsiRegister.InterruptStatus => _interruptStatus,
            PvscsiRegister.InterruptMask => _interruptMask,
            _ => 0,
        });
        _gate.Exit();
        return AccessResult.Done;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        uint value = (uint)LittleEndian.Get(data);
        bool drain = false;
        _gate.Enter();
        switch (offset)
        {
            case PvscsiRegister.Command:
                _commands.Begin(value);
                drain = Execute();
                break;
            case PvscsiRegister.CommandData:
                _commands.Add(value);
                drain = Execute();
                break;
            case PvscsiRegister.InterruptStatus:
                _interruptStatus &= ~value;
                UpdateLine();
                break;
            case PvscsiRegister.InterruptMask:
                _interruptMask = value & AllInterrupts;
                UpdateLine();
                break;
            case PvscsiRegister.KickNonRwIo or PvscsiRegister.KickRwIo:
                Process();
                break;
        }

        _gate.Exit();
        if (drain)
        {
            // Completions take the lock.
            Drain();
        }

        return AccessResult.Done;
    }

    void IScsiCompletion.OnCompleted(ScsiRequest request)
    {
        _gate.Enter();
        bool wasFull = _freeCount == 0;
        Finish(request);
        if (_rings.IsActive)
        {
            Publish();
            if (wasFull)
            {
                Process();
            }
        }

        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Start()
    {
        _gate.Enter();
        _stopped = false;
        Process();
        _gate.Exit();
    }

    /// <inheritdoc/>
    public void Stop()
    {
        _gate.Enter();
        _stopped = true;
        _gate.Exit();
        Drain();
    }

    /// <inheritdoc/>
    public void Reset()
    {
        _gate.Enter();
        StopRepeating(EveryTarget, null);
        _gate.Exit();
        Drain();
        _gate.Enter();
        ResetAdapter();
        _commands.Reset();
        foreach (ref Removal removal in _removals.AsSpan())
        {
            removal.IsGivenUp |= removal.IsRequested;
        }

        _interruptMask = 0;
        UpdateLine();
        _gate.Exit();
        Function.Reset();
    }

    /// <inheritdoc/>
    public void Save(IStateWriter state)
    {
        state.Write(1, (ulong)_interruptStatus);
        state.Write(2, (ulong)_interruptMask);
        _commands.Save(state, 3);
        _rings.Save(state, 8);
        _messages.Save(state, 14);
        state.Write(18, (ulong)_grown);
        Function.Save(state, 20);
    }

    /// <inheritdoc/>
    public bool Restore(IStateReader state)
    {
        bool valid = state.TryTake(1, ref _interruptStatus) & state.TryTake(2, ref _interruptMask);

        // Snapshots of before disks could grow have none of this.
        _grown = state.TryRead(18, out ulong grown) ? (ushort)grown : 0u;
        return valid && ((_interruptStatus | _interruptMask) & ~AllInterrupts) == 0
            && _commands.Restore(state, 3) && _rings.Restore(state, 8) && _messages.Restore(state, 14) && Function.Restore(state, 20);
    }

    private void Drain()
    {
        foreach (ScsiTarget? target in _targets)
        {
            target?.Drain();
        }
    }

    // True: what is under way has to end before the driver goes on.
    private bool Execute()
    {
        if (!_commands.TryTake(out PvscsiCommand command))
        {
            return false;
        }

        switch (command)
        {
            case PvscsiCommand.AdapterReset:
                StopRepeating(EveryTarget, null);
                ResetAdapter();
                return true;
            case PvscsiCommand.ResetBus:
                StopRepeating(EveryTarget, null);
                return true;
            case PvscsiCommand.ResetDevice:
                StopRepeating(_commands.Data[0], null);
                return true;
            case PvscsiCommand.AbortCommand:
                StopRepeating(_commands.Data[2], _commands.Data[0] | ((ulong)_commands.Data[1] << 32));
                break;
            case PvscsiCommand.SetupRings:
                _messages.Reset();
                ForgetMessages();
                if (!_rings.TrySetUp(_commands.Data))
                {
                    _commands.Fail();
                }

                break;
            case PvscsiCommand.SetupMessageRing:
                ForgetMessages();
                if (!_messages.TrySetUp(_commands.Data, _rings.StatePage))
                {
                    _commands.Fail();
                }

                break;
            case PvscsiCommand.Config:
                _commands.WriteConfiguration(MaximumTargets);
                break;
        }

        return false;
    }

    // What is under way of these commands is the last of them.
    private void StopRepeating(uint target, ulong? context)
    {
        for (int i = 0; i < RequestSlots; i++)
        {
            if ((target == EveryTarget || target == _pending[i].Target) && (context is null || context == _pending[i].Context))
            {
                _requests[i].StopRepeating();
            }
        }
    }

    // What is under way has nobody to tell any more.
    private void ResetAdapter()
    {
        _rings.Reset();
        _messages.Reset();
        ForgetMessages();
        _interruptStatus = 0;
        UpdateLine();
    }

    private void Process()
    {
        if (_stopped || _paused || !Function.IsBusMaster)
        {
            return;
        }

        // Requests that come meanwhile have a kick of their own.
        bool ended = false;
        Span<byte> copy = stackalloc byte[PvscsiRequest.Length];
        for (uint waiting = _rings.CountRequests(); waiting > 0 && _freeCount > 0; waiting--)
        {
            if (_rings.TryTake(copy))
            {
                ended |= Begin(new PvscsiRequest(copy));
            }
        }

        if (ended)
        {
            Publish();
        }
    }

    // True: something is in the completion ring.
    private bool Begin(PvscsiRequest descriptor)
    {
        ScsiTarget? target = descriptor.Bus == 0 && descriptor.Target < MaximumTargets ? _targets[descriptor.Target] : null;
        int tag = _free[--_freeCount];
        ScsiRequest request = _requests[tag];
        request.Clear();
        _pending[tag] = new Pending(descriptor.Context, descriptor.SenseAddress, descriptor.SenseLength, descriptor.Target);
        HostStatus problem = target is null ? HostStatus.SelectionTimeout
            : descriptor.IsOutOfBand || !PvscsiScatterList.TryCollect(_memory, descriptor, request) ? HostStatus.InvalidParameter
            : HostStatus.Success;
        if (problem != HostStatus.Success)
        {
            _free[_freeCount++] = tag;
            _rings.Complete(descriptor.Context, 0, 0, problem, 0);
            return true;
        }

        descriptor.Command.CopyTo(request.Command);
        uint grown = _grown & (1u << descriptor.Target);
        if (grown != 0 && descriptor.Unit == 0 && (ScsiOperation)request.Command[0] is not (ScsiOperation.Inquiry or ScsiOperation.ReportLuns or ScsiOperation.RequestSense))
        {
            _grown &= ~grown;
            request.Fail(SenseCode.CapacityChanged);
            Finish(request);
            return true;
        }

        if (!target!.Submit(request, descriptor.Unit))
        {
            return false;
        }

        Finish(request);
        return true;
    }

    private void Finish(ScsiRequest request)
    {
        if (request.Block.Operation == BlockOperation.Read)
        {
            foreach (GuestBuffer buffer in request.Block.Buffers)
            {
                _memory.MarkWritten(buffer.Address, buffer.Length);
            }
        }

        _free[_freeCount++] = request.Tag;
        if (!_rings.IsActive)
        {
            return;
        }

        ref Pending pending = ref _pending[request.Tag];
        uint senseLength = 0;
        if (request.Status == ScsiStatus.CheckCondition)
        {
            Span<byte> sense = stackalloc byte[SenseCode.Length];
            request.Sense.Write(sense);
            senseLength = Math.Min(pending.SenseLength, SenseCode.Length);
            senseLength = _memory.TryWrite(pending.SenseAddress, sense[..(int)senseLength]) ? senseLength : 0;
        }

        _rings.Complete(pending.Context, request.Transferred, senseLength, HostStatus.Success, (byte)request.Status);
    }

    private void Publish()
    {
        _rings.Publish();
        Interrupt(CompletionInterrupt);
    }

    private void Interrupt(uint cause)
    {
        _interruptStatus |= cause;
        if (_msix.IsEnabled)
        {
            if ((_interruptMask & cause) != 0)
            {
                _msix.Raise(0);
            }
        }
        else
        {
            UpdateLine();
        }
    }

    private void UpdateLine() => Function.SetInterrupt(!_msix.IsEnabled && (_interruptStatus & _interruptMask) != 0);

    // A driver that begins anew has not heard of what was said before.
    private void ForgetMessages()
    {
        foreach (ref Removal removal in _removals.AsSpan())
        {
            removal.IsTold = false;
        }
    }

    private struct Removal
    {
        public bool IsRequested;
        public bool IsTold;
        public bool IsGivenUp;
        public uint Message;
    }

    private readonly record struct Pending(ulong Context, ulong SenseAddress, uint SenseLength, byte Target);
}
