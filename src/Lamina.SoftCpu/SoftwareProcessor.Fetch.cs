using Lamina.SoftCpu.Blocks;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu;

/// <summary>Instructions that are in no block: over two pages, not in RAM, at a limit, or not to be decoded.</summary>
internal sealed unsafe partial class SoftwareProcessor
{
    private const ulong NoFrame = 1;
    private readonly SingleTable _singles = new();
    private Instruction* _single;

    // One instruction that cannot be taken from a block: it crosses a page or the code segment's limit, is not in RAM, or cannot be decoded.
    private bool ExecuteSingle(ProcessorContext* c)
    {
        if (!FetchSingle(c))
        {
            return Leave(c);
        }

        Instruction* i = _single;
        ulong rip = c->Rip;
        if (!i->Handler(c, i))
        {
            return Leave(c);
        }

        c->InstructionsRetired++;
        if ((i->Flags & InstructionFlags.EndsBlock) == 0)
        {
            c->Rip = rip + i->Length;
        }

        return true;
    }

    private bool FetchSingle(ProcessorContext* c)
    {
        const int maximum = 15;
        byte* bytes = stackalloc byte[16];
        int available = 0;
        bool long64 = c->CodeSize == 8;
        ulong limit = long64 ? ulong.MaxValue : c->Segments[SegmentRegister.Cs].Limit;
        bool general = false;
        bool page = false;
        uint pageCode = 0;
        ulong pageAddress = 0;
        ulong cr2 = c->Cr2;
        while (available < maximum)
        {
            ulong offset = c->Rip + (ulong)available;
            ulong linear = long64 ? offset : (uint)(c->Segments[SegmentRegister.Cs].Base + offset);
            if (offset > limit || (long64 && !MemoryUnit.IsCanonical(linear)))
            {
                general = true;
                break;
            }

            if (!MemoryUnit.TranslateFetch(c, linear, out PageTranslation t))
            {
                page = true;
                pageCode = c->FaultCode;
                pageAddress = linear;
                c->Cr2 = cr2;
                break;
            }

            int run = (int)Math.Min((ulong)(maximum - available), 0x1000 - (linear & 0xfff));
            if (!long64)
            {
                run = (int)Math.Min((ulong)run, limit - offset + 1);
            }

            byte* host = HostAddress(t.Physical);
            if (host != null)
            {
                Buffer.MemoryCopy(host, bytes + available, run, run);
            }
            else
            {
                AccessDevice(t.Physical, bytes + available, run, false);
            }

            available += run;
        }

        // A translation that failed only matters if the instruction needs those bytes.
        ref SingleInstruction cached = ref _singles.Place(c->Rip, bytes, available, c->CodeSize);
        _single = cached.Instruction;
        if (cached.Matches(bytes, available, c->CodeSize))
        {
            NoteCrossing(c, ref cached);
            return true;
        }

        cached.CodeSize = 0;
        cached.Rip = SingleInstruction.Nowhere;

        DecodeStatus status = Decoder.Decode(bytes, available, c->CodeSize, out *_single);
        switch (status)
        {
            case DecodeStatus.Done:
                _partition.Bind(_single, c->CodeSize);
                cached.Remember(bytes, c->CodeSize);
                NoteCrossing(c, ref cached);
                return true;
            case DecodeStatus.Undefined:
                return Fault.InvalidOpcode(c);
            case DecodeStatus.Truncated when page:
                return Fault.Page(c, pageAddress, pageCode);
            default:
                _ = general;
                return Fault.GeneralProtection(c);
        }
    }

    // An instruction over two pages of RAM is found again by them, without a look at the page tables.
    private void NoteCrossing(ProcessorContext* c, ref SingleInstruction single)
    {
        ulong page = c->Rip & PageMask;
        bool crosses = c->CodeSize == 8 && ((c->Rip + single.Instruction->Length - 1) & PageMask) != page && single.Instruction->Length > 0x1000 - (int)(c->Rip & 0xfff);
        if (crosses && FindPage(c, page) is var first and not NoFrame && FindPage(c, page + 0x1000) is var second and not NoFrame
            && HostAddress(first) != null && HostAddress(second) != null)
        {
            single.FirstPage = first;
            single.SecondPage = second;
            single.Rip = c->Rip;
        }
    }

    // The physical page that instructions of a linear page are fetched from, or none if that would fault.
    private ulong FindPage(ProcessorContext* c, ulong page)
    {
        bool user = c->Cpl == 3;
        if (_fetches.TryFind(page, user, out FetchCache.Entry fetch))
        {
            return fetch.Physical;
        }

        ulong cr2 = c->Cr2;
        if (!MemoryUnit.IsCanonical(page) || !MemoryUnit.TranslateFetch(c, page, out PageTranslation t))
        {
            c->Cr2 = cr2;
            return NoFrame;
        }

        ulong frame = t.Physical & PageMask;
        return Remember(page, user, frame, t.Global).Physical;
    }

    // The instruction at RIP, if it crosses a page and is known, its pages are mapped as they were, and its bytes are the same.
    private Instruction* FindSingle(ProcessorContext* c)
    {
        ref SingleInstruction single = ref _singles.Find(c->Rip, out bool found);
        ulong page = c->Rip & PageMask;
        bool user = c->Cpl == 3;
        return found && single.Rip != SingleInstruction.Nowhere && c->CodeSize == 8
            && _fetches.TryFind(page, user, out FetchCache.Entry first) && first.Physical == single.FirstPage
            && _fetches.TryFind(page + 0x1000, user, out FetchCache.Entry second) && second.Physical == single.SecondPage
            && single.Matches(HostAddress(single.FirstPage), HostAddress(single.SecondPage))
            ? single.Instruction : null;
    }
}
