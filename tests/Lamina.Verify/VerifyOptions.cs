using System.Globalization;
using Lamina.Verify.Legacy;
using Lamina.Verify.Privileged;

namespace Lamina.Verify;

/// <summary>What the program was asked to do.</summary>
internal sealed record VerifyOptions
{
    private const string SystemPrefix = "system-";

    public const string Usage = """
        Usage: lamina-verify [OPTIONS] [VECTOR ...]

        Executes random instructions on Lamina's software CPU and on this host's processor, in a process of their own, and compares registers, flags, memory, vector and x87 state, and exceptions.
        What differs is made as small as it can be and printed as a test vector. With VECTORs, files of such cases, it compares those.

          --count N        this many cases [default: 1000000, or no limit with --seconds]
          --seconds N      for this long
          --seed N         begin with this seed [default: chosen, and printed]
          --case N         only case N of the seed
          --subject NAME   what is compared: interpreter [default], translator (its first tier), optimized (its second)
          --oracle NAME    where the host's processor executes 64-bit code: native [default], in the process that compares; kvm, in a
                           virtual machine
          --bits N         code of this size: 64 [default], 32 or 16; of these what 64-bit code has not is compared with a model of
                           the manual's pseudo-code, and all of it with this host's own segments where it lets programs have such;
                           the translator leaves them to the interpreter: as a part of a guest's run
          --mode NAME      mode of 16-bit code: protected [default], real, v86; of these the model and 64-bit code alone say what is right,
                           and the interpreter's handlers are compared. system: system instructions, transfers between segments and
                           privilege levels, and exceptions of any mode and level but real mode, which a model of the manuals'
                           pseudo-code says what is right of; system-protected, system-compatibility, system-long and system-v86 are
                           those that begin in such a mode
          --sequence N     sequences of 2 to N (at most 8) instructions of 64-bit code, compared at their end or first exception;
                           with --mode system (or system-long, system-protected) programs of 2 to N (at most 32) steps that change
                           translations, protection, code and privilege levels between accesses, which the translator runs as
                           translated from their first instruction on
          --jumps N        with up to N (at most 4) jumps among them: over some of them, a loop, a call and its return
          --vectors DIR    write the vectors into files there
          --coverage FILE  write how often each opcode was compared, as a Markdown table
          --merge FILE     only write the sum of such tables, which are given in place of VECTORs, into FILE
          --failures N     end after so many differences [default: 10]
          --mutate NAME    make the software CPU wrong in this way, which is to be found; 'list' lists them

        SIGINT and SIGTERM end the comparison as if its time were over: with the summary, and the table, so far.

        The status is 0 if nothing differs, 1 if something does, 2 if the options are wrong.
        """;

    public long Count { get; private set; } = -1;

    public double Seconds { get; private set; } = -1;

    public ulong Seed { get; private set; } = (ulong)Environment.TickCount64;

    public long OnlyCase { get; private set; } = -1;

    public string? Vectors { get; private set; }

    public string? CoverageFile { get; private set; }

    public string? Merged { get; private set; }

    public int Failures { get; private set; } = 10;

    public string? Mutate { get; private set; }

    public Subject Subject { get; private set; }

    public Oracle Oracle { get; private set; }

    /// <summary>Size of the code, or 0 for what a mutation is for, or 64.</summary>
    public int Bits { get; private set; }

    public CodeMode Mode { get; private set; }

    /// <summary>Mode of privileged cases, or null: others are compared.</summary>
    public SystemMode? SystemMode { get; private set; }

    /// <summary>Most instructions of a sequence, or 0 for what a mutation is for, or single ones.</summary>
    public int Sequence { get; private set; }

    /// <summary>Most jumps of a sequence, or 0 for what a mutation is for, or none.</summary>
    public int Jumps { get; private set; }

    public string? Progress { get; private set; }

    public List<string> Files { get; } = [];

    /// <exception cref="FormatException">An option is unknown, or its value.</exception>
    public static VerifyOptions Parse(string[] arguments)
    {
        VerifyOptions options = new();
        for (int n = 0; n < arguments.Length; n++)
        {
            string name = arguments[n];
            if (!name.StartsWith("--", StringComparison.Ordinal))
            {
                options.Files.Add(name);
                continue;
            }

            string value = ++n < arguments.Length ? arguments[n] : throw new FormatException($"{name} needs a value.");
            switch (name)
            {
                case "--count": options.Count = Number(name, value); break;
                case "--seconds": options.Seconds = Number(name, value); break;
                case "--seed": options.Seed = (ulong)Number(name, value); break;
                case "--case": options.OnlyCase = Number(name, value); break;
                case "--vectors": options.Vectors = value; break;
                case "--coverage": options.CoverageFile = value; break;
                case "--merge": options.Merged = value; break;
                case "--failures": options.Failures = (int)Math.Min(Number(name, value), int.MaxValue); break;
                case "--subject": options.Subject = Enum.TryParse(value, ignoreCase: true, out Subject subject) && Enum.IsDefined(subject) ? subject : throw new FormatException($"There is no subject '{value}': interpreter, translator or optimized."); break;
                case "--oracle": options.Oracle = Enum.TryParse(value, ignoreCase: true, out Oracle oracle) && Enum.IsDefined(oracle) ? oracle : throw new FormatException($"There is no oracle '{value}': native or kvm."); break;
                case "--bits": options.Bits = value is "16" or "32" or "64" ? (int)Number(name, value) : throw new FormatException($"Code has 16, 32 or 64 bits, not '{value}'."); break;
                case "--mode" when value == "system": options.SystemMode = Privileged.SystemMode.All; break;
                case "--mode" when value.StartsWith(SystemPrefix, StringComparison.Ordinal):
                    options.SystemMode = Enum.TryParse(value[SystemPrefix.Length..], ignoreCase: true, out SystemMode system) && Enum.IsDefined(system) ? system : throw new FormatException($"There is no mode '{value}': system-protected, system-compatibility, system-long or system-v86.");
                    break;
                case "--mode": options.Mode = Enum.TryParse(value, ignoreCase: true, out CodeMode mode) && Enum.IsDefined(mode) ? mode : throw new FormatException($"There is no mode '{value}': protected, real, v86 or system."); break;
                case "--sequence": options.Sequence = (int)Math.Min(Number(name, value), int.MaxValue); break;
                case "--jumps": options.Jumps = Number(name, value) is <= SequenceGenerator.MaximumJumps and var jumps ? (int)jumps : throw new FormatException($"A sequence has at most {SequenceGenerator.MaximumJumps} jumps, not '{value}'."); break;
                case "--mutate": options.Mutate = value; break;
                case "--progress": options.Progress = value; break;
                default: throw new FormatException($"There is no option {name}.");
            }
        }

        CheckSequence(options, arguments);
        if (options.SystemMode != null && (options.Bits != 0 || options.Jumps != 0 || options.Oracle != Oracle.Native))
        {
            throw new FormatException("Privileged cases (--mode system) have code of any size, jumps of their own, and are compared with the model.");
        }

        if (options.Sequence != 0 && options.Bits is 16 or 32)
        {
            throw new FormatException("Sequences are of 64-bit code.");
        }

        if (options.Mode != CodeMode.Protected && (options.Bits != 16 || options.Subject != Subject.Interpreter))
        {
            throw new FormatException("Real and virtual-8086 mode are of 16-bit code (--bits 16) under the interpreter.");
        }

        if (options.Jumps != 0 && options.Sequence == 0)
        {
            throw new FormatException("Jumps are those of a --sequence.");
        }

        if (options.Oracle == Oracle.Kvm && options.Bits is 16 or 32)
        {
            throw new FormatException("KVM's virtual machine executes 64-bit code.");
        }

        if (options.Merged != null && options.Files.Count == 0)
        {
            throw new FormatException("--merge needs tables to merge.");
        }

        options.Count = options.Count < 0 && options.Seconds < 0 ? 1_000_000 : options.Count;
        return options;
    }

    private static void CheckSequence(VerifyOptions options, string[] arguments)
    {
        bool isProgram = options.SystemMode != null || (options.Mutate is { } mutate && ProgramMutation.Find(mutate) != null);
        int most = isProgram ? SystemGenerator.MaximumSteps : SequenceGenerator.Maximum;
        if (arguments.Contains("--sequence") && (options.Sequence < 2 || options.Sequence > most))
        {
            throw new FormatException($"A sequence has 2 to {most} {(isProgram ? "steps" : "instructions")}, not '{options.Sequence}'.");
        }

        if (options.Sequence != 0 && options.SystemMode is Privileged.SystemMode.Compatibility or Privileged.SystemMode.V86)
        {
            throw new FormatException("Sequences of privileged cases begin in 64-bit or protected mode: not system-compatibility or system-v86.");
        }
    }

    private static long Number(string name, string value) =>
        long.TryParse(value, NumberStyles.None, CultureInfo.InvariantCulture, out long number) ? number : throw new FormatException($"{name} '{value}' is not a number.");
}
