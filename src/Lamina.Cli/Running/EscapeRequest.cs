namespace Lamina.Cli.Running;

/// <summary>What the keys asked Lamina to do.</summary>
internal enum EscapeRequest
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>End the machine, or leave its console where that is attached.</summary>
    Quit,

    /// <summary>Show the keys.</summary>
    Help,
}
