using Lamina.Machine;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;

namespace Lamina.Personalities.HyperV;

/// <summary>The synthetic registers of one processor. With the partition's lock held, but for the local APIC's.</summary>
internal sealed class HyperVProcessor
{
    private const int TimerCount = 4;
    private const uint X2ApicFirst = 0x800;
    private const uint TaskPriorityOffset = 0x80;
    private const uint EndOfInterruptOffset = 0xb0;
    private const uint InterruptCommandOffset = 0x300;
    private const uint InterruptDestinationOffset = 0x310;
    private const ulong Enable = 1;
    private const ulong AddressMask = ~0xfffUL;

    private readonly PersonalitySettings _settings;
    private readonly SyntheticTimer[] _timers = new SyntheticTimer[TimerCount];
    private readonly EndOfInterruptFlag _flag;
    private ulong _assistPage;
    private ILocalInterruptController? _controller;

    internal HyperVProcessor(PersonalitySettings settings, ReferenceTime time, int index)
    {
        _settings = settings;
        Interrupts = new SyntheticInterrupts(settings.Memory, settings.Messages, index);
        Interrupts.Reset();
        _flag = new EndOfInterruptFlag(settings.Memory);
        for (uint i = 0; i < TimerCount; i++)
        {
            _timers[i] = new SyntheticTimer(settings.Gate, settings.Clock, time, Interrupts, i);
        }
    }

    /// <summary>The synthetic interrupt controller.</summary>
    internal SyntheticInterrupts Interrupts { get; }

    internal void Connect(ILocalInterruptController controller)
    {
        _controller = controller;
        (controller as IFlaggedEndOfInterrupt)?.Connect(_flag);
    }

    private void ShowDirect()
    {
        if (_controller is IDirectVectors direct)
        {
            Interrupts.ShowDirect(direct);
        }
    }

    internal void Reset()
    {
        _assistPage = 0;
        _flag.Address = null;
        Interrupts.Reset();
        ShowDirect();
        foreach (SyntheticTimer timer in _timers)
        {
            timer.Reset();
        }
    }

    internal void Start()
    {
        foreach (SyntheticTimer timer in _timers)
        {
            timer.Start();
        }
    }

    internal void Stop()
    {
        foreach (SyntheticTimer timer in _timers)
        {
            timer.Stop();
        }
    }

    internal void OnEndOfMessage()
    {
        foreach (SyntheticTimer timer in _timers)
        {
            timer.OnEndOfMessage();
        }
    }

    internal bool TryRead(uint index, out ulong value)
    {
        value = 0;
        switch (index)
        {
            case HyperVMsr.VpAssistPage:
                value = _assistPage;
                return true;
            case >= HyperVMsr.FirstTimer and <= HyperVMsr.LastTimer:
                SyntheticTimer timer = _timers[(index - HyperVMsr.FirstTimer) / 2];
                value = (index & 1) == 0 ? timer.Configuration : timer.Count;
                return true;
            case >= HyperVMsr.SControl and <= HyperVMsr.EndOfMessage or (>= HyperVMsr.FirstSint and <= HyperVMsr.LastSint):
                return Interrupts.TryRead(index, out value);
            default:
                return false;
        }
    }

    internal bool TryWrite(uint index, ulong value)
    {
        switch (index)
        {
            case HyperVMsr.VpAssistPage:
                _assistPage = value;
                ClearAssistPage();
                _flag.Address = GetFlag();
                return true;
            case >= HyperVMsr.FirstTimer and <= HyperVMsr.LastTimer:
                SyntheticTimer timer = _timers[(index - HyperVMsr.FirstTimer) / 2];
                if ((index & 1) == 0)
                {
                    return timer.TryWriteConfiguration(value);
                }

                timer.WriteCount(value);
                return true;
            case >= HyperVMsr.SControl and <= HyperVMsr.EndOfMessage:
                return Interrupts.TryWrite(index, value);
            case >= HyperVMsr.FirstSint and <= HyperVMsr.LastSint:
                bool allowed = Interrupts.TryWrite(index, value);
                ShowDirect();
                return allowed;
            default:
                return false;
        }
    }

    /// <summary>Takes the flag in the assist page down, before that is another or cleared. Without the partition's lock.</summary>
    internal void SettleFlag() => (_controller as IFlaggedEndOfInterrupt)?.Settle();

    /// <summary>Reads a register of the local APIC. Without the partition's lock.</summary>
    internal bool TryReadController(uint index, out ulong value)
    {
        value = 0;
        switch (index)
        {
            case HyperVMsr.InterruptCommand:
                // In either mode of the APIC with the destination where xAPIC has it.
                value = _controller?.TryReadMsr(X2ApicFirst + (InterruptCommandOffset >> 4), out ulong command) == true ? (uint)command | (command >> 32 << 56)
                    : ReadPage(InterruptCommandOffset) | (ReadPage(InterruptDestinationOffset) << 32);
                return _controller is not null;
            case HyperVMsr.TaskPriority:
                value = _controller?.TryReadMsr(X2ApicFirst + (TaskPriorityOffset >> 4), out ulong priority) == true ? priority : ReadPage(TaskPriorityOffset);

                // Where there is no page, the class is what is known.
                value = value != 0 ? value : (ulong)(_controller?.TaskPriorityClass ?? 0) << 4;
                return true;
            default:
                return false;
        }
    }

    /// <summary>Writes a register of the local APIC. Without the partition's lock.</summary>
    internal bool TryWriteController(uint index, ulong value)
    {
        if (_controller is not { } controller)
        {
            return false;
        }

        switch (index)
        {
            case HyperVMsr.EndOfInterrupt:
                if (!controller.TryWriteMsr(X2ApicFirst + (EndOfInterruptOffset >> 4), 0))
                {
                    WritePage(controller, EndOfInterruptOffset, 0);
                }

                return true;
            case HyperVMsr.InterruptCommand:
                if (!controller.TryWriteMsr(X2ApicFirst + (InterruptCommandOffset >> 4), (uint)value | (value >> 56 << 32)))
                {
                    WritePage(controller, InterruptDestinationOffset, (uint)(value >> 32));
                    WritePage(controller, InterruptCommandOffset, (uint)value);
                }

                return true;
            case HyperVMsr.TaskPriority when value <= byte.MaxValue:
                controller.TaskPriorityClass = (byte)(value >> 4);
                if ((value & 0xf) != 0 && !controller.TryWriteMsr(X2ApicFirst + (TaskPriorityOffset >> 4), value))
                {
                    WritePage(controller, TaskPriorityOffset, (uint)value);
                }

                return true;
            default:
                return false;
        }
    }

    internal void Save(IStateWriter state, ushort field)
    {
        state.Write(field, _assistPage);
        Interrupts.Save(state, (ushort)(field + 1));
        for (int i = 0; i < TimerCount; i++)
        {
            _timers[i].Save(state, (ushort)(field + 8 + (i * 4)));
        }
    }

    internal bool Restore(IStateReader state, ushort field)
    {
        bool valid = state.TryTake(field, ref _assistPage) & Interrupts.Restore(state, (ushort)(field + 1));
        for (int i = 0; i < TimerCount; i++)
        {
            valid &= _timers[i].Restore(state, (ushort)(field + 8 + (i * 4)));
        }

        _flag.Address = GetFlag();
        ShowDirect();
        return valid;
    }

    private static void WritePage(ILocalInterruptController controller, uint offset, uint value)
    {
        Span<byte> data = stackalloc byte[sizeof(uint)];
        LittleEndian.Put(data, value);
        controller.WritePage(offset, data);
    }

    private ulong ReadPage(uint offset)
    {
        Span<byte> data = stackalloc byte[sizeof(uint)];
        return _controller?.ReadPage(offset, data) == AccessResult.Done ? LittleEndian.Get(data) : 0;
    }

    // The page begins with the flag.
    private ulong? GetFlag() => (_assistPage & Enable) != 0 ? _assistPage & AddressMask : null;

    // Of the rest nothing is offered: the guest finds zeroes.
    private void ClearAssistPage()
    {
        if ((_assistPage & Enable) != 0)
        {
            Span<byte> page = stackalloc byte[Machine.Memory.GuestMemory.PageSize];
            page.Clear();
            _settings.Memory.TryWrite(_assistPage & AddressMask, page);
        }
    }
}
