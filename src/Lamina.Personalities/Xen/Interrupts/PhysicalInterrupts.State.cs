using System.Buffers.Binary;
using Lamina.Machine.Devices;

namespace Lamina.Personalities.Xen.Interrupts;

/// <content>The saved state: what is mapped to what. Which channel one is bound to is among the channels.</content>
internal sealed partial class PhysicalInterrupts
{
    private const int SavedLength = 4;

    /// <summary>Writes a field.</summary>
    internal void Save(IStateWriter state, ushort field)
    {
        Span<byte> entries = stackalloc byte[Count * SavedLength];
        int length = 0;
        for (int i = 0; i < Count; i++)
        {
            if (_sources[i] != Unmapped)
            {
                BinaryPrimitives.WriteUInt16LittleEndian(entries[length..], (ushort)i);
                BinaryPrimitives.WriteInt16LittleEndian(entries[(length + 2)..], _sources[i]);
                length += SavedLength;
            }
        }

        state.Write(field, entries[..length]);
    }

    /// <summary>Reads it, before the channels; <see cref="EndRestore"/> comes last. Machines of before have none.</summary>
    internal bool Restore(IStateReader state, ushort field)
    {
        Reset();
        _isRestoring = true;
        Span<byte> entries = stackalloc byte[Count * SavedLength];
        int length = state.TryRead(field, entries);
        bool valid = length <= 0 || length % SavedLength == 0;
        int last = -1;
        for (int at = 0; valid && at < length; at += SavedLength)
        {
            int pirq = BinaryPrimitives.ReadUInt16LittleEndian(entries[at..]);
            short source = BinaryPrimitives.ReadInt16LittleEndian(entries[(at + 2)..]);
            valid = pirq > last && pirq < Count && source is not Unmapped and >= Message
                && (source < 0 || (lines is not null && source < sizeof(uint) * 8 && (lines.Interrupts & (1u << source)) != 0 && !_sources.AsSpan().Contains(source)));
            last = pirq;
            if (valid)
            {
                _sources[pirq] = source;
            }
        }

        if (!valid)
        {
            Reset();
        }

        return valid;
    }
}
