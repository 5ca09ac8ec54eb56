using System.Runtime.CompilerServices;
using Lamina.SoftCpu.Execute;

namespace Lamina.SoftCpu.Memory;

/// <summary>Limit and type checks outside 64-bit mode (Intel SDM volume 3, sections 5.3 to 5.5).</summary>
internal static unsafe class SegmentChecks
{
    /// <summary>Checks an access of <paramref name="size"/> bytes and forms the linear address (32 bits).</summary>
    public static bool Check(ProcessorContext* c, int segment, uint offset, int size, bool write, out ulong linear)
    {
        ref SegmentCache s = ref c->Segments[segment];
        linear = (uint)(s.Base + offset);
        uint last = offset + (uint)(size - 1);
        uint attributes = s.Attributes;

        // Present, usable, data, expand-up; writable where needed; inside the limit.
        uint wanted = write ? 0x92u : 0x90u;
        if ((attributes & (SegmentCache.Unusable | 0x9c | (write ? 2u : 0))) == (wanted & (0x9c | (write ? 2u : 0))) && last <= s.Limit && last >= offset)
        {
            return true;
        }

        return CheckSlow(c, segment, offset, last, write);
    }

    [MethodImpl(MethodImplOptions.NoInlining)]
    private static bool CheckSlow(ProcessorContext* c, int segment, uint offset, uint last, bool write)
    {
        ref SegmentCache s = ref c->Segments[segment];
        bool ok = s.IsUsable || !c->Protected;
        if (c->Protected && ok)
        {
            bool code = s.IsCode;
            bool allowed = write ? !code && (s.Attributes & 2) != 0 : !code || (s.Attributes & 2) != 0;
            ok = allowed;
        }

        if (ok)
        {
            bool expandDown = !s.IsCode && (s.Attributes & 4) != 0;
            ok = last >= offset && (expandDown ? offset > s.Limit && last <= (s.IsBig ? uint.MaxValue : 0xffff) : last <= s.Limit);
        }

        return ok || (segment == SegmentRegister.Ss ? Fault.StackFault(c) : Fault.GeneralProtection(c));
    }
}
