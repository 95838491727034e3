"""What people find in OpenSearch Dashboards or Kibana: an index pattern, a search, visualizations, a dashboard."""
