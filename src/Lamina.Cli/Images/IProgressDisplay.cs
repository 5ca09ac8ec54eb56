namespace Lamina.Cli.Images;

/// <summary>Shows how far the preparation of an image is.</summary>
internal interface IProgressDisplay
{
    /// <summary>Begins a step.</summary>
    void Begin(string step);

    /// <summary>How much of the step is done, 0 to 100.</summary>
    void Advance(double percent);

    /// <summary>Shows a line.</summary>
    void Note(string message);
}
