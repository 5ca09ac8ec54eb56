using System.Numerics;
using Lamina.Machine.AddressSpaces;
using Lamina.Machine.Devices;
using Lamina.Machine.Interrupts;

namespace Lamina.Machine.Pci;

/// <summary>
/// MSI-X table and pending bits of a function (PCI 3.0, section 6.8.2): the window is the table, then the pending bits. Given to
/// <see cref="PciFunction.AddMsix"/>, which adds the capability.
/// </summary>
public sealed class MsixTable : IRegisterWindow
{
    private const int EntrySize = 16;
    private const int ControlInEntry = 12;
    private const byte MaskBit = 0x01;
    private const byte EnableBit = 0x80;
    private const byte FunctionMaskBit = 0x40;
    private const int MaximumVectors = 2048;

    private readonly ILock _gate;
    private readonly IMessageInterruptSink _sink;
    private readonly byte[] _table;
    private readonly byte[] _pending;
    private byte _control;

    /// <summary>Makes a table of <paramref name="vectorCount"/> (1 to 2048) masked vectors.</summary>
    public MsixTable(ILock gate, IMessageInterruptSink sink, int vectorCount)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(vectorCount, 1);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(vectorCount, MaximumVectors);
        _gate = gate;
        _sink = sink;
        VectorCount = vectorCount;
        _table = new byte[vectorCount * EntrySize];
        _pending = new byte[(vectorCount + 63) / 64 * 8];
        PendingOffset = (uint)_table.Length;
        WindowLength = Math.Max(4096, BitOperations.RoundUpToPowerOf2((ulong)(_table.Length + _pending.Length)));
        Reset();
    }

    /// <summary>Number of vectors.</summary>
    public int VectorCount { get; }

    /// <summary>Bytes of the window.</summary>
    public ulong WindowLength { get; }

    /// <summary>Whether the guest has turned MSI-X on. While it has not, the device uses INTx.</summary>
    public bool IsEnabled => (_control & EnableBit) != 0;

    internal uint PendingOffset { get; }

    internal int ControlOffset { get; set; }

    /// <summary>Sends vector <paramref name="vector"/>, or remembers it while it is masked. Any thread. Nothing happens while MSI-X is off.</summary>
    public void Raise(int vector)
    {
        if ((uint)vector >= (uint)VectorCount)
        {
            return;
        }

        _gate.Enter();
        if (IsEnabled)
        {
            _pending[vector >> 3] |= (byte)(1 << (vector & 7));
            Deliver(vector);
        }

        _gate.Exit();
    }

    /// <inheritdoc/>
    public AccessResult Read(ulong offset, Span<byte> data)
    {
        if (data.Length < 4 || (offset & (ulong)(data.Length - 1)) != 0)
        {
            return AccessResult.BadWidth;
        }

        _gate.Enter();
        for (int i = 0; i < data.Length; i++)
        {
            ulong at = offset + (ulong)i;
            data[i] = at < PendingOffset ? _table[at] : at - PendingOffset < (ulong)_pending.Length ? _pending[at - PendingOffset] : (byte)0;
        }

        _gate.Exit();
        return AccessResult.Done;
    }

    /// <inheritdoc/>
    public AccessResult Write(ulong offset, ReadOnlySpan<byte> data)
    {
        if (data.Length < 4 || (offset & (ulong)(data.Length - 1)) != 0)
        {
            return AccessResult.BadWidth;
        }

        if (offset >= PendingOffset)
        {
            return AccessResult.Done; // The pending bits are read-only.
        }

        _gate.Enter();
        data.CopyTo(_table.AsSpan((int)offset));
        int vector = (int)offset / EntrySize;
        Span<byte> control = _table.AsSpan((vector * EntrySize) + ControlInEntry, 4);
        control[0] &= MaskBit;
        control[1..].Clear();
        Deliver(vector);
        _gate.Exit();
        return AccessResult.Done;
    }

    internal void Reset()
    {
        _gate.Enter();
        Array.Clear(_table);
        Array.Clear(_pending);
        for (int i = 0; i < VectorCount; i++)
        {
            _table[(i * EntrySize) + ControlInEntry] = MaskBit;
        }

        _control = 0;
        _gate.Exit();
    }

    /// <summary>The guest writes the upper byte of the message control register.</summary>
    internal void SetControl(byte control, bool deliver)
    {
        _gate.Enter();
        bool changed = control != _control;
        _control = control;
        if (changed && deliver)
        {
            for (int i = 0; i < VectorCount; i++)
            {
                Deliver(i);
            }
        }

        _gate.Exit();
    }

    internal void Save(IStateWriter state, ushort firstField)
    {
        state.Write(firstField, _table);
        state.Write((ushort)(firstField + 1), _pending);
    }

    internal bool Restore(IStateReader state, ushort firstField)
    {
        bool valid = state.TryTake(firstField, _table) & state.TryTake((ushort)(firstField + 1), _pending);
        for (int i = 0; i < VectorCount; i++)
        {
            _table[(i * EntrySize) + ControlInEntry] &= MaskBit;
        }

        return valid;
    }

    private void Deliver(int vector)
    {
        byte bit = (byte)(1 << (vector & 7));
        ReadOnlySpan<byte> entry = _table.AsSpan(vector * EntrySize, EntrySize);
        if ((_control & (EnableBit | FunctionMaskBit)) != EnableBit || (_pending[vector >> 3] & bit) == 0)
        {
            return;
        }

        (ulong address, uint data) = (LittleEndian.Get(entry[..8]), (uint)LittleEndian.Get(entry.Slice(8, 4)));
        if ((entry[ControlInEntry] & MaskBit) == 0 || _sink.IgnoresMask(address, data))
        {
            _pending[vector >> 3] &= (byte)~bit;
            _sink.Send(address, data);
        }
    }
}
