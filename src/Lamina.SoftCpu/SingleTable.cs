using System.Runtime.InteropServices;
using Lamina.SoftCpu.Decode;

namespace Lamina.SoftCpu;

/// <summary>
/// Instructions that are in no block or are taken one by one, as they were last decoded: sets of four, by the address. One thread.
/// </summary>
internal sealed unsafe class SingleTable : IDisposable
{
    /// <summary>Instructions of a set.</summary>
    public const int WayCount = 4;

    private const int SetBits = 8;
    private const ulong Mix = 0x9e37_79b9_7f4a_7c15;
    private readonly SingleInstruction[] _singles = new SingleInstruction[WayCount << SetBits];
    private readonly byte[] _next = new byte[1 << SetBits];
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

    /// <summary>Where an instruction at an address is, or goes: the one of the same bytes, or one that makes room for it.</summary>
    /// <param name="rip">Where.</param>
    /// <param name="bytes">What lies there, in a buffer of 16.</param>
    /// <param name="available">How much of it can be read.</param>
    /// <param name="codeSize">For which code size.</param>
    public ref SingleInstruction Place(ulong rip, byte* bytes, int available, int codeSize)
    {
        int number = SetOf(rip);
        Span<SingleInstruction> set = _singles.AsSpan(number * WayCount, WayCount);
        for (int way = 0; way < set.Length; way++)
        {
            if (set[way].Matches(bytes, available, codeSize))
            {
                return ref set[way];
            }
        }

        return ref set[_next[number]++ % WayCount];
    }

    /// <inheritdoc/>
    public void Dispose() => NativeMemory.Free(_instructions);
}
