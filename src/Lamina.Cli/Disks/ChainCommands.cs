using System.CommandLine;
using System.Globalization;
using System.Text;
using Lamina.Cli.Arguments;
using Lamina.Storage;

namespace Lamina.Cli.Disks;

/// <summary>The part of <c>lamina disk</c> for images that are there: checking, comparing, changing their size, and moving content along a chain.</summary>
internal sealed class ChainCommands
{
    private const int Different = 1;
    private const int Damaged = 2;
    private const int Leaking = 3;
    private readonly TextWriter _output;
    private readonly Argument<string> _file = new("FILE") { Description = "The image." };
    private readonly Argument<string> _other = new("OTHER") { Description = "The image to compare it with." };
    private readonly Argument<string> _size = new("SIZE") { Description = "The new size, such as 30G, or by how much it grows: +10G." };
    private readonly Option<string> _format = new("--format") { HelpName = "NAME", Description = "raw or qcow2. [default: by the file's name]" };
    private readonly Option<string> _otherFormat = new("--other-format") { HelpName = "NAME", Description = "Format of OTHER. [default: by its name]" };
    private readonly Option<string> _repair = new("--repair") { HelpName = "WHAT", Description = "leaks: give back space that is lost; all: write reference counts and flags anew." };
    private readonly Option<bool> _shrink = new("--shrink") { Description = "Let the disk become smaller. What lies behind its new end is lost." };
    private readonly Option<string> _backing = new("--backing") { HelpName = "IMAGE", Description = "The new backing image, or 'none'." };
    private readonly Option<bool> _trust = new("--unsafe") { Description = "Only write the name down: the new backing image holds what the old one held." };
    private readonly Option<bool> _json = new("--json") { Description = "Write JSON." };
    private readonly Option<string> _apply = new("--apply") { HelpName = "NAME", Description = "Make the disk what it was when this snapshot was taken." };
    private readonly Command _check;
    private readonly Command _resize;
    private readonly Command _commit;
    private readonly Command _rebase;
    private readonly Command _map;
    private readonly Command _compare;
    private readonly Command _snapshot;

    public ChainCommands(TextWriter output)
    {
        _output = output;
        _check = new Command("check", "Look whether an image is whole.") { _file, _format, _repair };
        _resize = new Command("resize", "Change the size of a disk.") { _file, _size, _format, _shrink };
        _commit = new Command("commit", "Move what an overlay holds into its backing image.") { _file };
        _rebase = new Command("rebase", "Give an overlay another backing image. Its disk stays as it is.") { _file, _backing, _trust };
        _map = new Command("map", "Show which file of a chain holds which part of a disk.") { _file, _format, _json };
        _compare = new Command("compare", "Compare what two disks hold.") { _file, _other, _format, _otherFormat };
        _snapshot = new Command("snapshot", "Show the snapshots in an image, or go back to one.") { _file, _apply };
    }

    /// <summary>The commands.</summary>
    public IReadOnlyList<Command> Commands => [_check, _resize, _commit, _rebase, _map, _compare, _snapshot];

    /// <summary>Does what was parsed, if it is one of these commands.</summary>
    /// <returns>The exit status, or null.</returns>
    public int? TryRun(ParseResult result)
    {
        Command chosen = result.CommandResult.Command;
        return chosen == _check ? Check(result)
            : chosen == _resize ? Resize(result)
            : chosen == _commit ? Commit(result)
            : chosen == _rebase ? Rebase(result)
            : chosen == _map ? Map(result)
            : chosen == _compare ? Compare(result)
            : chosen == _snapshot ? Snapshot(result) : null;
    }

    private int Check(ParseResult result)
    {
        DiskRepair repair = result.GetValue(_repair) switch
        {
            null => DiskRepair.None,
            "leaks" => DiskRepair.Leaks,
            "all" => DiskRepair.All,
            { } other => throw new LaminaException($"--repair '{other}' is not known. Accepted: leaks, all."),
        };
        string file = result.GetValue(_file)!;
        DiskCheckResult found = DiskProgress.Show("Checking", p => DiskMaintenance.Check(file, DiskCommands.ReadFormat("--format", result.GetValue(_format)), repair, p));
        foreach (string problem in found.Problems)
        {
            _output.WriteLine($"error: {problem}");
        }

        string state = found switch
        {
            { Errors: 0, Leaks: 0 } => "is whole",
            { Errors: 0 } => $"is whole, and {found.Leaks} clusters are lost",
            _ => $"is damaged: {found.Errors} errors, {found.Leaks} clusters lost",
        };
        _output.WriteLine($"'{file}' {state}{(found.IsRepaired ? "; repaired" : "")}.");
        return found.IsRepaired || found is { Errors: 0, Leaks: 0 } ? ExitStatus.Success : found.Errors == 0 ? Leaking : Damaged;
    }

    private int Resize(ParseResult result)
    {
        string file = result.GetValue(_file)!;
        string text = result.GetValue(_size)!;
        bool relative = text.StartsWith('+');
        using DiskImage image = DiskImages.Open(file, DiskCommands.ReadFormat("--format", result.GetValue(_format)), writable: true);
        if (!MemorySize.TryParse(relative ? text[1..] : text, out ulong bytes, out _))
        {
            throw new LaminaException($"'{text}' is not a size for '{file}', which has {MemorySize.Format(image.Length)}. Write a number and a unit, such as 30G or +10G.");
        }

        ulong length = relative ? image.Length + bytes : bytes;
        if (length < image.Length && !result.GetValue(_shrink))
        {
            throw new LaminaException($"'{file}' would become smaller, from {MemorySize.Format(image.Length)} to {MemorySize.Format(length)}, and lose what lies behind. Add --shrink if that is wanted.");
        }

        int error = image.Resize(length);
        return error == 0 ? ExitStatus.Success : throw new LaminaException(
            $"'{file}' cannot have {MemorySize.Format(length)}: {(error == Interop.ErrorNumber.NotSupported ? "an image with snapshots cannot become smaller" : new Interop.SystemCallException("resize", error).Reason)}.");
    }

    private int Commit(ParseResult result)
    {
        DiskProgress.Show("Committing", p => DiskMaintenance.Commit(result.GetValue(_file)!, p));
        return ExitStatus.Success;
    }

    private int Rebase(ParseResult result)
    {
        string given = result.GetValue(_backing) ?? throw new LaminaException($"'{result.GetValue(_file)}' needs its new backing image: --backing IMAGE, or --backing none.");
        string? backing = given == "none" ? null : given;
        DiskProgress.Show("Rebasing", p => DiskMaintenance.Rebase(result.GetValue(_file)!, backing, null, result.GetValue(_trust), p));
        return ExitStatus.Success;
    }

    private int Map(ParseResult result)
    {
        using DiskImage image = DiskImages.Open(result.GetValue(_file)!, DiskCommands.ReadFormat("--format", result.GetValue(_format)), writable: false);
        bool json = result.GetValue(_json);
        StringBuilder text = new();
        if (!json)
        {
            text.Append(CultureInfo.InvariantCulture, $"{"OFFSET",14} {"LENGTH",14} {"KIND",-5} {"DEPTH",5} {"IN FILE AT",14}\n");
        }

        string separator = "[";
        for (ulong at = 0; at < image.Length;)
        {
            DiskExtent extent = GetExtent(image, at);
            ulong length = extent.Length;
            while (at + length < image.Length && GetExtent(image, at + length) is var next && next.IsZero == extent.IsZero && next.Depth == extent.Depth && next.IsAllocated == extent.IsAllocated
                && next.FileOffset == (extent.FileOffset < 0 ? extent.FileOffset : extent.FileOffset + (long)length))
            {
                length += next.Length;
            }

            length = Math.Min(length, image.Length - at);
            if (json)
            {
                string place = extent.FileOffset < 0 ? "" : string.Create(CultureInfo.InvariantCulture, $", \"offset\": {extent.FileOffset}");
                text.Append(CultureInfo.InvariantCulture, $"{separator}{{ \"start\": {at}, \"length\": {length}, \"depth\": {extent.Depth}, \"zero\": {(extent.IsZero ? "true" : "false")}, \"data\": {(extent.IsZero ? "false" : "true")}{place}}}");
                separator = ",\n";
            }
            else
            {
                text.Append(CultureInfo.InvariantCulture, $"{at,14} {length,14} {(extent.IsZero ? "zero" : "data"),-5} {extent.Depth,5}{(extent.FileOffset < 0 ? "" : string.Create(CultureInfo.InvariantCulture, $" {extent.FileOffset,14}"))}\n");
            }

            at += length;
        }

        _output.Write(json ? $"{text}]\n" : text.ToString());
        return ExitStatus.Success;
    }

    private int Compare(ParseResult result)
    {
        string file = result.GetValue(_file)!;
        string other = result.GetValue(_other)!;
        using DiskImage first = DiskImages.Open(file, DiskCommands.ReadFormat("--format", result.GetValue(_format)), writable: false);
        using DiskImage second = DiskImages.Open(other, DiskCommands.ReadFormat("--other-format", result.GetValue(_otherFormat)), writable: false);
        ulong? difference = DiskProgress.Show("Comparing", p => DiskMaintenance.Compare(first, second, p));
        _output.WriteLine(difference is { } place ? $"'{file}' and '{other}' differ at byte {place}." : $"'{file}' and '{other}' hold the same.");
        return difference == null ? ExitStatus.Success : Different;
    }

    private int Snapshot(ParseResult result)
    {
        string file = result.GetValue(_file)!;
        if (result.GetValue(_apply) is { } name)
        {
            DiskMaintenance.ApplySnapshot(file, name);
            return ExitStatus.Success;
        }

        using DiskImage image = DiskImages.Open(file, null, writable: false);
        DiskCommands.WriteSnapshots(_output, image);
        return ExitStatus.Success;
    }

    private static DiskExtent GetExtent(DiskImage image, ulong offset)
    {
        int error = image.GetExtent(offset, out DiskExtent extent);
        return error == 0 && extent.Length != 0 ? extent : throw new LaminaException($"'{image.Path}' cannot be read: {new Interop.SystemCallException("read", error).Reason}");
    }
}
