using Lamina.SoftCpu.Tests.Fpu;
using Lamina.Verify.Legacy;

namespace Lamina.Verify;

/// <summary>
/// The segments that a 64-bit program finds on the host: selectors in its segment registers, and the descriptors that LAR and LSL show it. What these hide from CPL 3 is as good as a segment of
/// CPL 0 (Intel SDM volume 2, LAR, LSL).
/// </summary>
internal sealed unsafe class HostSegments
{
    private const int Count = 16;
    private const int Cx = 1;
    private const ulong Zero = 0x40;
    private const ulong Handlers = 0x00af_9b00_0000_ffff;
    private const ulong Hidden = 0x00cf_9300_0000_ffff;
    private const ulong Rights = 0x00f0_ff00;
    private const ulong Granular = 0x0080_0000;

    /// <summary>Asks the host.</summary>
    public HostSegments(NativeOracle native)
    {
        CaseResult result = default;
        for (int n = 0; n < SegmentValues.Count; n++)
        {
            // mov eax, Sreg
            Run(native, [0x8c, (byte)(0xc0 | (n << 3))], 0, ref result);
            Selectors[n] = (ushort)result.State.General[0];
        }

        for (int n = 1; n < Count; n++)
        {
            // lar eax, ecx; lsl eax, ecx
            uint selector = (uint)((n << 3) | 3);
            Run(native, [0x0f, 0x02, 0xc1], selector, ref result);
            bool visible = (result.State.Flags & Zero) != 0;
            ulong rights = result.State.General[0] & Rights;
            Run(native, [0x0f, 0x03, 0xc1], selector, ref result);
            ulong limit = (result.State.Flags & Zero) != 0 ? result.State.General[0] : 0;
            limit = (rights & Granular) != 0 ? limit >> 12 : limit;
            Descriptors[n] = visible ? (rights << 32) | (limit & 0xffff) | ((limit & 0xf_0000) << 32) : Hidden;
        }

        // Where the exceptions' handlers are, which is none of CPL 3 on the host either.
        Descriptors[1] = Handlers;
    }

    /// <summary>Of ES, CS, SS, DS, FS, GS.</summary>
    public ushort[] Selectors { get; } = new ushort[SegmentValues.Count];

    /// <summary>The descriptor table; bases are zero.</summary>
    public ulong[] Descriptors { get; } = new ulong[Count];

    private static void Run(NativeOracle native, ReadOnlySpan<byte> code, ulong selector, ref CaseResult result)
    {
        TestCase test = new() { Length = code.Length };
        code.CopyTo(test.Code);
        fixed (NativeState* state = &test.State)
        {
            state->Flags = 0x202;
            state->Mxcsr = 0x1f80;
            *(ushort*)state->X87 = 0x37f;
            state->General[Cx] = selector;
            state->General[4] = Arena.Data + (Arena.DataSize / 2);
        }

        native.Run(test, ref result);
        if (result.Vector != CaseResult.None)
        {
            throw new InvalidOperationException($"the host has exception {result.Vector} for {Convert.ToHexString(code)}");
        }
    }
}
