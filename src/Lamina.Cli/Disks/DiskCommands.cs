using System.CommandLine;
using System.Globalization;
using Lamina.Cli.Arguments;
using Lamina.Storage;

namespace Lamina.Cli.Disks;

/// <summary><c>lamina disk</c>: makes images, describes them, copies them into other formats, and what <see cref="ChainCommands"/> does.</summary>
internal sealed class DiskCommands
{
    private readonly TextWriter _output;
    private readonly Argument<string> _file = new("FILE") { Description = "The image." };
    private readonly Argument<string?> _size = new("SIZE") { Arity = ArgumentArity.ZeroOrOne, Description = "The disk's size, such as 20G; without it the backing image's." };
    private readonly Argument<string> _target = new("TARGET") { Description = "The new image." };
    private readonly Option<string> _format = new("--format") { HelpName = "NAME", Description = "raw or qcow2. [default: by the file's name]" };
    private readonly Option<string> _sourceFormat = new("--source-format") { HelpName = "NAME", Description = "Format of FILE. [default: by its name]" };
    private readonly Option<string> _backing = new("--backing") { HelpName = "IMAGE", Description = "Make an overlay: what it does not hold itself is IMAGE's." };
    private readonly ChainCommands _chain;
    private readonly Command _create;
    private readonly Command _info;
    private readonly Command _convert;

    public DiskCommands(TextWriter output)
    {
        _output = output;
        _create = new Command("create", "Make an empty disk image.") { _file, _size, _format, _backing };
        _info = new Command("info", "Describe a disk image.") { _file, _format };
        _convert = new Command("convert", "Copy a disk image into a new one, of another format perhaps. Zeroes take no space.") { _file, _target, _sourceFormat, _format };
        _chain = new ChainCommands(output);
        Command = new Command("disk", "Make, describe, check and change disk images.") { _create, _info, _convert };
        foreach (Command command in _chain.Commands)
        {
            Command.Add(command);
        }
    }

    /// <summary>The command.</summary>
    public Command Command { get; }

    /// <summary>Does what was parsed, if it is one of these commands.</summary>
    /// <returns>The exit status, or null.</returns>
    /// <exception cref="LaminaException">It cannot be done.</exception>
    public int? TryRun(ParseResult result)
    {
        Command chosen = result.CommandResult.Command;
        try
        {
            if (chosen == _create)
            {
                Create(result);
            }
            else if (chosen == _info)
            {
                Describe(result);
            }
            else if (chosen == _convert)
            {
                Convert(result);
            }
            else
            {
                return _chain.TryRun(result);
            }

            return ExitStatus.Success;
        }
        catch (StorageException e)
        {
            throw new LaminaException(e.Message, e);
        }
    }

    /// <summary>Reads the name of a format, if there is one.</summary>
    /// <exception cref="LaminaException">There is none of that name.</exception>
    internal static DiskFormat? ReadFormat(string option, string? name) => name == null ? null : DiskArgument.ParseFormat(option, name);

    /// <summary>Writes a line for each snapshot.</summary>
    internal static void WriteSnapshots(TextWriter output, DiskImage image)
    {
        foreach (DiskSnapshot snapshot in DiskMaintenance.GetSnapshots(image))
        {
            string state = snapshot.StateLength == 0 ? "" : $", with {MemorySize.Format(snapshot.StateLength)} of a machine's state";
            output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"snapshot {snapshot.Name} (number {snapshot.Id}, {snapshot.Taken:yyyy-MM-dd HH:mm:ss}, {MemorySize.Format(snapshot.DiskLength)}{state})"));
        }
    }

    private void Create(ParseResult result)
    {
        string file = result.GetValue(_file)!;
        string? size = result.GetValue(_size);
        ulong? length = null;
        if (size != null)
        {
            length = MemorySize.TryParse(size, out ulong bytes, out _) && bytes > 0
                ? bytes
                : throw new LaminaException($"'{size}' is not a size. Write a number and a unit, such as 512M or 20G.");
        }

        if (length == null && result.GetValue(_backing) == null)
        {
            throw new LaminaException($"'{file}' needs a size, such as 20G, or a backing image.");
        }

        DiskFormat format = ReadFormat("--format", result.GetValue(_format)) ?? DiskImages.GetFormatByName(file);
        DiskImages.Create(file, format, length, result.GetValue(_backing));
    }

    private void Describe(ParseResult result)
    {
        string file = result.GetValue(_file)!;
        using DiskImage image = DiskImages.Open(file, ReadFormat("--format", result.GetValue(_format)), writable: false);
        ulong own = 0;
        for (ulong at = 0; at < image.Length;)
        {
            if (image.GetExtent(at, out DiskExtent extent) != 0)
            {
                throw new LaminaException($"'{file}' cannot be read: its tables are damaged. 'lamina disk check' says more.");
            }

            own += extent.IsAllocated && !extent.IsZero ? extent.Length : 0;
            at += Math.Max(extent.Length, 512);
        }

        _output.WriteLine($"image    {file}");
        _output.WriteLine($"format   {(image.Format == DiskFormat.Raw ? "raw" : "qcow2")}");
        _output.WriteLine($"size     {MemorySize.Format(image.Length)} ({image.Length} bytes)");
        _output.WriteLine($"data     {MemorySize.Format(own)}");
        if (image.BackingPath != null)
        {
            _output.WriteLine($"backing  {image.BackingPath}");
        }

        WriteSnapshots(_output, image);
    }

    private void Convert(ParseResult result)
    {
        string target = result.GetValue(_target)!;
        DiskFormat format = ReadFormat("--format", result.GetValue(_format)) ?? DiskImages.GetFormatByName(target);
        using DiskImage source = DiskImages.Open(result.GetValue(_file)!, ReadFormat("--source-format", result.GetValue(_sourceFormat)), writable: false);
        DiskImages.Create(target, format, source.Length, null);
        try
        {
            using DiskImage copy = DiskImages.Open(target, format, writable: true);
            DiskProgress.Show("Converting", p => DiskCopy.Run(source, copy, p));
        }
        catch
        {
            File.Delete(target);
            throw;
        }
    }
}
