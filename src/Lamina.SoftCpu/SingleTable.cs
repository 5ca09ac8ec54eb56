using System.Runtime.InteropServices;
using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu;

/// <summary>
/// Instructions that are in no block, as they were last decoded: sets of four, by the address. A guest's kernel has dozens over two pages in what it does all the time, and one that is not found here
/// takes walks of the page tables and a decoding. One thread.
/// </summary>
internal sealed unsafe class SingleTable : IDisposable
{
    /// <summary>Instructions of a set.</summary>
    public const int WayCount = 4;

    private const int SetBits = 8;
    private const ulong Mix = 0x9e37_79b9_7f4a_7c15;
    private readonly SingleInstruction[] _singles = new SingleInstruction[WayCount << SetBits];
    private readonly byte[] _next = new byte[1 << SetBits];
    private readonly byte[] _recent = new byte[1 << SetBits];
    private readonly Instruction* _instructions;

    public SingleTable()
    {
        // SAFETY: native memory, freed in Dispose; an entry's place never changes.
        _instructions = (Instruction*)NativeMemory.AllocZeroed((nuint)_singles.Length, (nuint)sizeof(Instruction));
        for (int n = 0; n < _singles.Length; n++)
        {
            _singles[n].Instruction = _instructions + n;
        }
    }

    /// <summary>The set of an address.</summary>
    public static int SetOf(ulong rip) => (int)((rip * Mix) >> (64 - SetBits));

    /// <summary>The instruction over two pages that was found at an address.</summary>
    /// <param name="rip">Where; not <see cref="SingleInstruction.Nowhere"/>.</param>
    /// <param name="found">Whether there is one.</param>
    public ref SingleInstruction Find(ulong rip, out bool found)
    {
        int number = SetOf(rip);
        ref SingleInstruction recent = ref _singles[(number * WayCount) + _recent[number]];
        found = recent.Rip == rip;
        return ref found ? ref recent : ref Search(number, rip, out found);
    }

    /// <summary>Where an instruction at an address is, or goes: the one that was found there, one of the same bytes that belongs nowhere, or one that makes room for it.</summary>
    /// <param name="rip">Where.</param>
    /// <param name="bytes">What lies there, in a buffer of 16.</param>
    /// <param name="available">How much of it can be read.</param>
    /// <param name="codeSize">For which code size.</param>
    public ref SingleInstruction Place(ulong rip, byte* bytes, int available, int codeSize)
    {
        ref SingleInstruction known = ref Find(rip, out bool found);
        if (found && rip != SingleInstruction.Nowhere)
        {
            return ref known;
        }

        int number = SetOf(rip);
        Span<SingleInstruction> set = _singles.AsSpan(number * WayCount, WayCount);
        for (int way = 0; way < set.Length; way++)
        {
            if (set[way].Rip == SingleInstruction.Nowhere && set[way].Matches(bytes, available, codeSize))
            {
                return ref set[way];
            }
        }

        return ref set[_next[number]++ % WayCount];
    }

    private ref SingleInstruction Search(int number, ulong rip, out bool found)
    {
        Span<SingleInstruction> set = _singles.AsSpan(number * WayCount, WayCount);
        int way = 0;
        while (way < set.Length - 1 && set[way].Rip != rip)
        {
            way++;
        }

        found = set[way].Rip == rip;
        _recent[number] = found ? (byte)way : _recent[number];
        return ref set[way];
    }

    /// <inheritdoc/>
    public void Dispose() => NativeMemory.Free(_instructions);
}
