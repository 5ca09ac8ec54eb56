using System.Buffers.Binary;

namespace Lamina.SoftCpu.Tests.Translate;

/// <summary>Writes guest instructions, in any encoding asked for.</summary>
internal sealed class CodeBuilder(ulong origin)
{
    private readonly List<byte> _bytes = [];
    private readonly List<Place> _labels = [];

    /// <summary>Linear address of the first byte.</summary>
    public ulong Origin { get; } = origin;

    public int Length => _bytes.Count;

    public ulong Here => Origin + (ulong)_bytes.Count;

    public void Bytes(params ReadOnlySpan<byte> bytes) => _bytes.AddRange(bytes);

    public Place NewLabel()
    {
        Place label = new();
        _labels.Add(label);
        return label;
    }

    public void Bind(Place label) => label.Offset = _bytes.Count;

    /// <summary>An opcode followed by a displacement of 1 or 4 bytes.</summary>
    public void Branch(ReadOnlySpan<byte> opcode, Place target, int size)
    {
        Bytes(opcode);
        target.Uses.Add((_bytes.Count, size));
        _bytes.AddRange(new byte[size]);
    }

    /// <summary>The address of a label.</summary>
    public void Pointer(Place target)
    {
        target.Pointers.Add(_bytes.Count);
        _bytes.AddRange(new byte[8]);
    }

    public void Immediate(long value, int size)
    {
        for (int n = 0; n < size; n++)
        {
            _bytes.Add((byte)(value >> (8 * n)));
        }
    }

    /// <summary>Any instruction with ModRM.</summary>
    /// <param name="opcode">One to three bytes.</param>
    /// <param name="size">Operand size: 2 adds 66, 8 adds REX.W.</param>
    /// <param name="reg">Register or opcode digit.</param>
    /// <param name="rm">The other operand.</param>
    /// <param name="immediate">Immediate.</param>
    /// <param name="immediateSize">Its bytes.</param>
    /// <param name="rex">Write a REX prefix even if it is empty.</param>
    /// <param name="prefix">F0, F2, F3, 66 or 0.</param>
    public void Op(ReadOnlySpan<byte> opcode, int size, int reg, Rm rm, long immediate = 0, int immediateSize = 0, bool rex = false, byte prefix = 0)
    {
        if (rm.SegmentPrefix != 0)
        {
            _bytes.Add(rm.SegmentPrefix);
        }

        if (rm.Address32)
        {
            _bytes.Add(0x67);
        }

        if (size == 2)
        {
            _bytes.Add(0x66);
        }

        if (prefix != 0)
        {
            _bytes.Add(prefix);
        }

        int index = rm.IsRegister || rm.Index < 0 ? 0 : rm.Index;
        int low = rm.Base < 0 ? 0 : rm.Base;
        int bits = (size == 8 ? 8 : 0) | ((reg >> 3) << 2) | ((index >> 3) << 1) | (low >> 3);
        if (bits != 0 || rex)
        {
            _bytes.Add((byte)(0x40 | bits));
        }

        Bytes(opcode);
        int field = (reg & 7) << 3;
        if (rm.IsRegister)
        {
            _bytes.Add((byte)(0xc0 | field | (low & 7)));
            Immediate(immediate, immediateSize);
        }
        else if (rm.RipTarget is { } target)
        {
            _bytes.Add((byte)(field | 5));
            ulong next = Here + 4 + (ulong)immediateSize;
            Immediate((int)(target - next), 4);
            Immediate(immediate, immediateSize);
        }
        else
        {
            Memory(field, rm);
            Immediate(immediate, immediateSize);
        }
    }

    public void MoveImmediate(int register, ulong value)
    {
        _bytes.Add((byte)(0x48 | (register >> 3)));
        _bytes.Add((byte)(0xb8 | (register & 7)));
        Immediate((long)value, 8);
    }

    public byte[] ToArray()
    {
        byte[] bytes = [.. _bytes];
        foreach (Place label in _labels)
        {
            foreach ((int offset, int size) in label.Uses)
            {
                int displacement = label.Offset - (offset + size);
                if (size == 1)
                {
                    Assert.InRange(displacement, -128, 127);
                    bytes[offset] = (byte)displacement;
                }
                else
                {
                    BinaryPrimitives.WriteInt32LittleEndian(bytes.AsSpan(offset), displacement);
                }
            }

            foreach (int offset in label.Pointers)
            {
                BinaryPrimitives.WriteUInt64LittleEndian(bytes.AsSpan(offset), Origin + (ulong)label.Offset);
            }
        }

        return bytes;
    }

    private void Memory(int field, Rm rm)
    {
        int low = rm.Base & 7;
        bool sib = rm.Base < 0 || rm.Index >= 0 || low == 4;
        int mod = rm.Base < 0 ? 0 : rm.Displacement == 0 && low != 5 ? 0 : rm.Displacement is >= -128 and <= 127 ? 1 : 2;
        _bytes.Add((byte)((mod << 6) | field | (sib ? 4 : low)));
        if (sib)
        {
            int index = rm.Index < 0 ? 4 : rm.Index & 7;
            _bytes.Add((byte)((rm.Scale << 6) | (index << 3) | (rm.Base < 0 ? 5 : low)));
        }

        if (mod == 1)
        {
            _bytes.Add((byte)rm.Displacement);
        }
        else if (mod == 2 || rm.Base < 0)
        {
            Immediate(rm.Displacement, 4);
        }
    }
}
