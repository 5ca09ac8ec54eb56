using System.Buffers.Binary;
using Lamina.Machine.Devices;
using Lamina.Personalities.Xen.Interrupts;

namespace Lamina.Personalities.Xen.Events;

/// <content>
/// The saved state: what each channel is bound to, and who waits for which. What is pending is in guest memory. The control domain's ends are objects; whoever has one saves that it has it, and takes it back.
/// </content>
internal sealed partial class EventChannels
{
    // Number, state, priorities, processors, domain, virtual or physical interrupt, and the processor of the former; then the number's upper half, which was 0 when there were 4096.
    private const int SavedPortLength = 16;
    private const int UpperHalf = 14;

    /// <summary>Writes up to four fields, and three a processor.</summary>
    internal void Save(IStateWriter state, ushort field, Func<int, ushort> processorField)
    {
        byte[] ports = new byte[_end * SavedPortLength];
        int length = 0;
        for (uint i = 0; i < _end; i++)
        {
            ref readonly EventPort port = ref _ports[i];
            if (port.State == PortState.Closed && port.LastProcessor == 0 && port.LastPriority == 0)
            {
                continue;
            }

            Span<byte> entry = ports.AsSpan(length, SavedPortLength);
            BinaryPrimitives.WriteUInt16LittleEndian(entry, (ushort)i);
            entry[2] = (byte)port.State;
            entry[3] = port.Priority;
            entry[4] = port.LastPriority;
            entry[5] = (byte)port.Virq;
            BinaryPrimitives.WriteUInt16LittleEndian(entry[6..], port.Processor);
            BinaryPrimitives.WriteUInt16LittleEndian(entry[8..], port.LastProcessor);
            BinaryPrimitives.WriteUInt16LittleEndian(entry[10..], port.Domain);
            BinaryPrimitives.WriteUInt16LittleEndian(entry[12..], port.VirqProcessor);
            BinaryPrimitives.WriteUInt16LittleEndian(entry[UpperHalf..], (ushort)(i >> 16));
            length += SavedPortLength;
        }

        state.Write(field, _delivery == _fifo);
        state.Write((ushort)(field + 1), ports.AsSpan(0, length));
        _fifo.Save(state, (ushort)(field + 2), processorField);
        for (int i = 0; i < _polled.Length; i++)
        {
            state.Write((ushort)(processorField(i) + 2), (ulong)_polled[i]);
        }
    }

    /// <summary>Reads them. After that the control domain's ends belong to nobody.</summary>
    internal bool Restore(IStateReader state, ushort field, Func<int, ushort> processorField)
    {
        Reset();
        bool queues = false;
        bool valid = state.TryTake(field, ref queues) & _fifo.Restore(state, (ushort)(field + 2), processorField, queues);
        _delivery = queues ? _fifo : _twoLevel;
        byte[] ports = new byte[PortCount * SavedPortLength];
        int length = state.TryRead((ushort)(field + 1), ports);
        valid &= length >= 0 && length % SavedPortLength == 0;
        int last = -1;
        for (int at = 0; valid && at < length; at += SavedPortLength)
        {
            valid = TryTake(ports.AsSpan(at, SavedPortLength), ref last);
        }

        for (int i = 0; valid && i < _polled.Length; i++)
        {
            valid = state.TryTake((ushort)(processorField(i) + 2), ref _polled[i]) && (_polled[i] < Limit || _polled[i] == AnyPort);
            _polling += _polled[i] != 0 ? 1 : 0;
        }

        if (!valid)
        {
            Reset();
        }

        return valid;
    }

    /// <summary>Writes two fields: which channel an object of the control domain has, and whether it is bound still. Without the lock.</summary>
    internal void SaveEnd(IStateWriter state, ushort field, uint port, IEventTarget target)
    {
        _gate.Enter();
        bool bound = port < PortCount && _ports[port].Target == target;
        _gate.Exit();
        state.Write(field, (ulong)port);
        state.Write((ushort)(field + 1), bound);
    }

    /// <summary>Reads them, and binds the channel to the object. Without the lock.</summary>
    /// <returns><c>false</c> if it is no such channel, or another's.</returns>
    internal bool RestoreEnd(IStateReader state, ushort field, IEventTarget target, out uint port)
    {
        port = 0;
        bool bound = false;
        if (!(state.TryTake(field, ref port) & state.TryTake((ushort)(field + 1), ref bound)) || port >= PortCount)
        {
            port = 0;
            return false;
        }

        _gate.Enter();
        bool valid = !bound || (_ports[port].State == PortState.Interdomain && _ports[port].Target is null);
        if (bound && valid)
        {
            _ports[port].Target = target;
        }

        _gate.Exit();
        return valid;
    }

    // By ascending number.
    private bool TryTake(ReadOnlySpan<byte> entry, ref int last)
    {
        int number = BinaryPrimitives.ReadUInt16LittleEndian(entry) | (BinaryPrimitives.ReadUInt16LittleEndian(entry[UpperHalf..]) << 16);
        EventPort port = new()
        {
            State = (PortState)entry[2],
            Priority = entry[3],
            LastPriority = entry[4],
            Virq = entry[5],
            Processor = BinaryPrimitives.ReadUInt16LittleEndian(entry[6..]),
            LastProcessor = BinaryPrimitives.ReadUInt16LittleEndian(entry[8..]),
            Domain = BinaryPrimitives.ReadUInt16LittleEndian(entry[10..]),
            VirqProcessor = BinaryPrimitives.ReadUInt16LittleEndian(entry[12..]),
        };
        bool valid = number > last && number > 0 && (uint)number < Limit && port.Processor < ProcessorCount && port.LastProcessor < ProcessorCount
            && port.Priority < FifoEvents.QueueCount && port.LastPriority < FifoEvents.QueueCount
            && port.State is PortState.Closed or PortState.Unbound or PortState.Interdomain or PortState.Pirq or PortState.Virq or PortState.Ipi;
        if (valid && port.State == PortState.Virq)
        {
            bool global = port.Virq is not (VirqTimer or VirqDebug or VirqPerformance);
            valid = port.Virq < VirqCount && port.VirqProcessor < (global ? 1 : ProcessorCount);
            if (valid)
            {
                ref uint bound = ref _virqPorts[(port.Virq * _signals.Length) + port.VirqProcessor];
                valid = bound == 0;
                bound = (uint)number;
            }
        }

        valid = valid && (port.State != PortState.Pirq || (port.Virq < PhysicalInterrupts.Count && _physical.GetPort(port.Virq) == 0));
        last = number;
        if (valid)
        {
            _ports[number] = port;
            _end = (uint)number + 1;
        }

        // Once the channel is there: a line that is asserted is an event at once.
        if (valid && port.State == PortState.Pirq)
        {
            _physical.SetPort(port.Virq, (uint)number);
        }

        return valid;
    }
}
