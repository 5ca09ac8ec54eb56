using System.Buffers.Binary;
using Lamina.Machine.Memory;
using Lamina.Machine.Personalities;

namespace Lamina.Personalities.Xen;

/// <summary>A hypercall's registers, and the structures that they point to by linear address, copied page by page.</summary>
internal readonly ref struct CallArguments
{
    private readonly GuestCall _call;

    /// <summary>Makes it.</summary>
    internal CallArguments(in GuestCall call, GuestMemory memory)
    {
        _call = call;
        Memory = memory;
    }

    /// <summary>The processor that calls.</summary>
    internal int Processor => _call.Processor;

    /// <summary>Whether the processor can wait, and ask again.</summary>
    internal bool CanWait => _call.CanWait;

    /// <summary>Lets others have the host's processor for a moment.</summary>
    internal void GiveWay() => _call.Caller?.GiveWay();

    /// <summary>The first argument: of most calls the operation.</summary>
    internal uint Command => (uint)_call.Registers[GuestCall.Rdi];

    /// <summary>The second argument.</summary>
    internal ulong Second => _call.Registers[GuestCall.Rsi];

    /// <summary>The third argument.</summary>
    internal ulong Third => _call.Registers[GuestCall.Rdx];

    /// <summary>Guest RAM.</summary>
    internal GuestMemory Memory { get; }

    /// <summary>Notes what is left of a call whose second argument is a count and whose third is an address.</summary>
    internal void Advance(uint done)
    {
        _call.Registers[GuestCall.Rsi] = (uint)Second - done;
        _call.Registers[GuestCall.Rdx] += done;
    }

    /// <summary>Copies a structure in.</summary>
    /// <returns><c>false</c> if a part of it is not there.</returns>
    internal bool TryRead(ulong linear, Span<byte> destination)
    {
        while (destination.Length > 0)
        {
            int part = GetPart(linear, destination.Length);
            if (!TryTranslate(linear, write: false, out ulong physical) || !Memory.TryRead(physical, destination[..part]))
            {
                return false;
            }

            destination = destination[part..];
            linear += (uint)part;
        }

        return true;
    }

    /// <summary>Copies a structure out.</summary>
    /// <returns><c>false</c> if a part of it is not there, or may not be written.</returns>
    internal bool TryWrite(ulong linear, ReadOnlySpan<byte> source)
    {
        while (source.Length > 0)
        {
            int part = GetPart(linear, source.Length);
            if (!TryTranslate(linear, write: true, out ulong physical) || !Memory.TryWrite(physical, source[..part]))
            {
                return false;
            }

            source = source[part..];
            linear += (uint)part;
        }

        return true;
    }

    /// <summary>Writes 32 bits.</summary>
    internal bool TryWrite(ulong linear, uint value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(uint)];
        BinaryPrimitives.WriteUInt32LittleEndian(bytes, value);
        return TryWrite(linear, bytes);
    }

    /// <summary>Writes 64 bits.</summary>
    internal bool TryWrite(ulong linear, ulong value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        BinaryPrimitives.WriteUInt64LittleEndian(bytes, value);
        return TryWrite(linear, bytes);
    }

    /// <summary>Reads 64 bits.</summary>
    internal bool TryRead(ulong linear, out ulong value)
    {
        Span<byte> bytes = stackalloc byte[sizeof(ulong)];
        bool known = TryRead(linear, bytes);
        value = known ? BinaryPrimitives.ReadUInt64LittleEndian(bytes) : 0;
        return known;
    }

    /// <summary>Translates an address.</summary>
    internal bool TryTranslate(ulong linear, bool write, out ulong physical)
    {
        physical = 0;
        return _call.Translation?.TryTranslate(linear, write, out physical) == true;
    }

    private static int GetPart(ulong linear, int length) => (int)Math.Min((ulong)length, GuestMemory.PageSize - (linear % GuestMemory.PageSize));
}
