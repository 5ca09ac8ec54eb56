using System.CommandLine;
using Lamina.Cli.Arguments;
using Lamina.Storage;

namespace Lamina.Cli.Disks;

/// <summary><c>lamina disk</c>: makes images, describes them and copies them into other formats.</summary>
internal sealed class DiskCommands
{
    private readonly TextWriter _output;
    private readonly Argument<string> _file = new("FILE") { Description = "The image." };
    private readonly Argument<string?> _size = new("SIZE") { Arity = ArgumentArity.ZeroOrOne, Description = "The disk's size, such as 20G; without it the backing image's." };
    private readonly Argument<string> _target = new("TARGET") { Description = "The new image." };
    private readonly Option<string> _format = new("--format") { HelpName = "NAME", Description = "raw or qcow2. [default: by the file's name]" };
    private readonly Option<string> _sourceFormat = new("--source-format") { HelpName = "NAME", Description = "Format of FILE. [default: by its name]" };
    private readonly Option<string> _backing = new("--backing") { HelpName = "IMAGE", Description = "Make an overlay: what it does not hold itself is IMAGE's." };
    private readonly Command _create;
    private readonly Command _info;
    private readonly Command _convert;

    public DiskCommands(TextWriter output)
    {
        _output = output;
        _create = new Command("create", "Make an empty disk image.") { _file, _size, _format, _backing };
        _info = new Command("info", "Describe a disk image.") { _file, _format };
        _convert = new Command("convert", "Copy a disk image into a new one, of another format perhaps. Zeroes take no space.") { _file, _target, _sourceFormat, _format };
        Command = new Command("disk", "Make, describe and convert disk images.") { _create, _info, _convert };
    }

    /// <summary>The command.</summary>
    public Command Command { get; }

    /// <summary>Does what was parsed, if it is one of these commands.</summary>
    /// <exception cref="LaminaException">It cannot be done.</exception>
    public bool TryRun(ParseResult result)
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

            return chosen == _create || chosen == _info || chosen == _convert;
        }
        catch (StorageException e)
        {
            throw new LaminaException(e.Message, e);
        }
    }

    private static DiskFormat? ReadFormat(string option, string? name) => name == null ? null : DiskArgument.ParseFormat(option, name);

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
            DiskExtent extent = image.GetExtent(at);
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
            DiskCopy.Run(source, copy);
        }
        catch
        {
            File.Delete(target);
            throw;
        }
    }
}
