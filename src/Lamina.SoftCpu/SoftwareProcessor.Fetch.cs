using Lamina.SoftCpu.Blocks;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Execute;
using Lamina.SoftCpu.Memory;

namespace Lamina.SoftCpu;

/// <summary>Instructions that are in no block: not in RAM, at a limit, not to be decoded, or taken one by one.</summary>
internal sealed unsafe partial class SoftwareProcessor
{
    private readonly SingleTable _singles = new();
    private Instruction* _single;

    // One instruction that cannot be taken from a block: it crosses the code segment's limit, is not in RAM, or cannot be decoded.
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
            return true;
        }

        cached.CodeSize = 0;
        DecodeStatus status = Decoder.Decode(bytes, available, c->CodeSize, out *_single);
        switch (status)
        {
            case DecodeStatus.Done:
                _partition.Bind(_single, c->CodeSize);
                cached.Remember(bytes, c->CodeSize);
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

    // The page that instructions of a linear page are fetched from. False: that would fault.
    private bool FindPage(ProcessorContext* c, ulong page, out FetchCache.Entry fetch)
    {
        bool user = c->Cpl == 3;
        if (_fetches.TryFind(page, user, out fetch))
        {
            return true;
        }

        ulong cr2 = c->Cr2;
        if ((c->CodeSize == 8 && !MemoryUnit.IsCanonical(page)) || !MemoryUnit.TranslateFetch(c, page, out PageTranslation t))
        {
            c->Cr2 = cr2;
            return false;
        }

        fetch = Remember(page, user, t.Physical & PageMask, t.Global);
        return true;
    }
}
