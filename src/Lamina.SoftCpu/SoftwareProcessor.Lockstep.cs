using System.Globalization;
using Lamina.Machine.Processors;
using Lamina.SoftCpu.Blocks;
using Lamina.SoftCpu.Decode;
using Lamina.SoftCpu.Lockstep;
using Lamina.SoftCpu.Translate;

namespace Lamina.SoftCpu;

/// <summary>
/// Lockstep: the interpreter executes a block on trial and its writes are taken back; then the translation executes it; then both results are compared. Blocks
/// are not linked meanwhile. Instructions that reach outside processor and RAM, and those that translated code leaves to the interpreter, are executed
/// once and compared with nothing.
/// </summary>
internal sealed unsafe partial class SoftwareProcessor
{
    // What a device changes meanwhile looks like a difference once, but not always.
    private const int Attempts = 3;

    private LockstepRun? _lockstep;

    /// <summary>From now on every block is compared.</summary>
    public void EnableLockstep(LockstepMonitor monitor) => _lockstep = new LockstepRun(monitor);

    /// <summary>Before RAM is written to through managed code.</summary>
    public void BeforeWrite(byte* host) => _lockstep?.Log.BeforeWrite(host);

    private ProcessorExit ExitOfFailedRun()
    {
        return _lockstep?.Monitor.Difference is { } difference
            ? new ProcessorExit(ProcessorExitReason.Failed, difference.Summary)
            : new ProcessorExit(ProcessorExitReason.Shutdown);
    }

    // Runs a block as RunTranslated does, piece by piece.
    private bool RunLockstep(ProcessorContext* c, Block* block, byte* code)
    {
        LockstepRun run = _lockstep!;
        if (!run.IsTurn(code))
        {
            return RunTranslated(c, code);
        }

        int position = 0;

        // What is taken back and begun in the middle has it too.
        c->Registers[ProcessorContext.CodePageRegister] = c->Rip & PageMask;
        if (c->VectorsOff == 0)
        {
            SwitchVectorsOn(c);
        }

        while (true)
        {
            if (!RunPiece(c, run, block, ref position, code, out bool interprets, out CodePlace place))
            {
                return run.Monitor.Difference == null && LeaveLockstep(c, run, block, position);
            }

            if (!interprets)
            {
                return true;
            }

            Instruction* i = place.Instruction;
            ulong rip = c->Rip;
            code = place.Resume;
            ushort translated = run.TranslatedFlags;
            Assisted++;
            bool done = i->Handler(c, i);
            c->InstructionsRetired += done ? 1UL : 0;
            if (!done)
            {
                return Leave(c);
            }

            run.KeepFlags(c, i, translated);
            if ((i->Flags & InstructionFlags.EndsBlock) != 0)
            {
                return true;
            }

            c->Rip = rip + i->Length;
            if (!KeepUnits(c) || c->Attention != 0 || (i->Flags & InstructionFlags.Dropped) != 0)
            {
                return true;
            }

            position++;
        }
    }

    // The rest of a block without comparison.
    private bool LeaveLockstep(ProcessorContext* c, LockstepRun run, Block* block, int position)
    {
        run.Monitor.Skipped++;
        return position > 0 || Execute(c, block) || Leave(c);
    }

    /// <summary>
    /// Executes a piece both ways, from an instruction of the block to wherever translated code leaves it. Answers <c>false</c> if that is not possible
    /// (<paramref name="position"/>: instructions of the block that are done), or if the results differ.
    /// </summary>
    private bool RunPiece(ProcessorContext* c, LockstepRun run, Block* block, ref int position, byte* code, out bool interprets, out CodePlace place)
    {
        interprets = false;
        place = default;
        ushort flags = run.FlagsFor(c);
        run.Start.Save(c);
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            run.Log.Begin();
            int count = Try(c, run, block, position, block->Count - position, out bool clean);
            bool faulted = !clean && !run.TouchedDevice && c->Outcome == HandlerOutcome.Fault;
            byte fault = c->FaultVector;
            if (!clean && (block->Valid || run.TouchedDevice))
            {
                run.TakeBack(c);
                if (!block->Valid)
                {
                    // It has overwritten itself, and is not what it was.
                    run.SkipNext = true;
                    return false;
                }

                Try(c, run, block, position, count, out _);
            }

            if (!block->Valid || block->Translations == null || c->Attention != 0)
            {
                // What the interpreter did stands.
                position += count;
                c->InstructionsRetired += (ulong)count;
                return false;
            }

            run.Interpreted.Save(c);
            run.Log.SaveFirst();
            run.TakeBack(c);
            c->SavedFlags = flags;
            TranslationExit exit = _code!.Routines.Enter(c, code);
            run.TranslatedFlags = c->SavedFlags;
            interprets = exit is TranslationExit.Interpret or TranslationExit.Site;
            if (exit != TranslationExit.Dispatch)
            {
                place = _code.FindPlace(exit, (byte*)c->ExitData);
                c->Rip = interprets ? place.RipIn(c) : exit == TranslationExit.Link ? CodeCache.TargetOf(c, place.Translation, (byte*)c->ExitData) : place.Translation->RipIn(c);
            }

            if (exit == TranslationExit.Hot)
            {
                // Its heat is not the guest's business: the run loop takes the better one next.
                run.TakeBack(c);
                Promote(c, place.Translation, out _);
                return false;
            }

            run.Translated.Save(c);
            run.Log.SaveSecond();
            int reached = block->Count - position;
            if (interprets)
            {
                reached = place.Index - position;
            }
            else if (c->Attention != 0)
            {
                // It may have left at once.
                run.Log.RestoreFirst();
                run.Interpreted.Restore(c);
                position += count;
                c->InstructionsRetired += (ulong)count;
                return false;
            }

            List<string> differences;
            if (reached < 0 || reached > block->Count - position || (reached > count && !faulted))
            {
                // Translated code went through something that the interpreter must not try.
                UnpackFlags(c);
                run.Monitor.Skipped++;
                position += reached;
                return true;
            }

            if (reached > count)
            {
                run.Log.Undo();
                differences = [string.Create(CultureInfo.InvariantCulture, $"the interpreter's instruction {position + count} of the block raises exception {fault}, translated code goes on")];
            }
            else
            {
                if (reached < count)
                {
                    run.TakeBack(c);
                    Try(c, run, block, position, reached, out _);
                    run.Interpreted.Save(c);
                    run.Log.SaveFirst();
                }
                else
                {
                    run.Interpreted.Restore(c);
                }

                differences = run.Interpreted.Compare(run.Translated, "interpreter", "translator");
                run.CompareMemory(differences, _memory);
                if (interprets)
                {
                    run.CompareFlags(differences, c, place.Instruction);
                }
            }

            if (differences.Count == 0)
            {
                run.Monitor.Compared++;
                run.Monitor.Instructions += reached;
                run.Monitor.Repeated += attempt > 0 ? 1 : 0;
                c->InstructionsRetired += (ulong)reached;
                run.Ended(c);
                position += reached;
                return true;
            }

            if (attempt == Attempts - 1)
            {
                run.Report(block, CodeCache.Find(block, run.Start.Rip - OffsetOf(block, position)), position, differences, _code);
            }

            run.TakeBack(c);
        }

        return false;
    }

    // Executes at most so many instructions of a block by their handlers, with nothing hidden in the TLB and no device answering. Answers how many were completed;
    // not clean: another one was begun.
    private static int Try(ProcessorContext* c, LockstepRun run, Block* block, int position, int limit, out bool clean)
    {
        Instruction* i = Block.Instructions(block) + position;
        ulong rip = c->Rip;
        int count = 0;
        clean = true;
        run.BeginTrial(c);
        while (count < limit && !LockstepRun.ReachesOutside(*i))
        {
            c->Rip = rip;
            if (!i->Handler(c, i) || run.TouchedDevice)
            {
                clean = false;
                break;
            }

            rip += i->Length;
            count++;
            if ((i->Flags & InstructionFlags.EndsBlock) == 0)
            {
                c->Rip = rip;
            }

            i++;
        }

        run.EndTrial(c);
        return count;
    }

    private static ulong OffsetOf(Block* block, int position)
    {
        ulong offset = 0;
        for (int n = 0; n < position; n++)
        {
            offset += Block.Instructions(block)[n].Length;
        }

        return offset;
    }
}
