using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Interrupts;

namespace Lamina.Conformance.Processors;

/// <summary>A local APIC that has what a test puts into it.</summary>
internal sealed class TestController : ILocalInterruptController
{
    private readonly Queue<byte> _pending = [];
    private readonly Dictionary<uint, ulong> _registers = new() { [0x1b] = 0xfee0_0900, [0x6e0] = 0, [0x808] = 0 };
    private byte _taskPriority;

    public ulong PageSum { get; private set; }

    public List<byte> Taken { get; } = [];

    public bool IsEnabled => true;

    public uint ApicId => 0;

    public ulong PageAddress => 0xfee0_0000;

    public bool HasInterrupt
    {
        get
        {
            lock (_pending)
            {
                return _pending.TryPeek(out byte vector) && vector >> 4 > _taskPriority;
            }
        }
    }

    public byte TaskPriorityClass
    {
        get => _taskPriority;
        set => _taskPriority = value;
    }

    public void Raise(byte vector)
    {
        lock (_pending)
        {
            _pending.Enqueue(vector);
        }
    }

    public bool TryAcknowledge(out byte vector)
    {
        lock (_pending)
        {
            if (!HasInterrupt)
            {
                vector = 0;
                return false;
            }

            vector = _pending.Dequeue();
            Taken.Add(vector);
            return true;
        }
    }

    public bool TryReadMsr(uint index, out ulong value) => _registers.TryGetValue(index, out value);

    public bool TryWriteMsr(uint index, ulong value)
    {
        bool known = _registers.ContainsKey(index);
        if (known)
        {
            _registers[index] = value;
        }

        return known;
    }

    public AccessResult ReadPage(ulong offset, Span<byte> data)
    {
        data.Fill((byte)(offset >> 4));
        return AccessResult.Done;
    }

    public AccessResult WritePage(ulong offset, ReadOnlySpan<byte> data)
    {
        PageSum = (PageSum * 31) + offset + data[0];
        return AccessResult.Done;
    }
}
